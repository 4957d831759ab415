# frozen_string_literal: true

require 'socket'

module TasklaneRuntime
  # An invocation as AWS's client hands it to `AwsLambda::Marshaller` and `LambdaContext`: headers by their names in any
  # case, and a body.
  class Invocation
    attr_reader :body

    def initialize(headers, body)
      @headers = headers
      @body = body
    end

    def [](name)
      @headers[name.downcase]
    end

    def request_id
      self['Lambda-Runtime-Aws-Request-Id']
    end
  end

  # The only connection to the Runtime API. Not Net::HTTP, which takes longer to load than everything else together.
  class Api
    ROOT = '/2018-06-01/runtime'
    private_constant :ROOT

    def initialize
      host, port = ENV.fetch('AWS_LAMBDA_RUNTIME_API').split(':')
      @host = "#{host}:#{port}"
      # In a jail: a socket for the same API.
      path = ENV.delete('_TASKLANE_RUNTIME_SOCKET')
      @socket = path ? UNIXSocket.new(path) : TCPSocket.new(host, port.to_i)
      @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1) unless path
      # Not for programs that the Function starts.
      @socket.close_on_exec = true
    end

    def next_invocation
      Invocation.new(*ask('GET', '/invocation/next'))
    end

    def respond(request_id, body, content_type)
      # A response that is no JSON is read here, as in AWS's client.
      body = body.read if content_type == 'application/unknown'
      ask('POST', "/invocation/#{request_id}/response", body, 'Content-Type' => content_type || 'application/json')
    end

    def fail(request_id, failure)
      report("/invocation/#{request_id}/error", failure)
    end

    def fail_init(failure)
      report('/init/error', failure)
    end

    private

    def report(route, failure)
      ask('POST', route, failure.to_h.to_json, 'Lambda-Runtime-Function-Error-Type' => failure.type_in_header)
    end

    # Sends a request and waits for the reply: its headers and its body.
    def ask(method, route, body = '', headers = {})
      body = body.to_s.b
      head = ["#{method} #{ROOT}#{route} HTTP/1.1", "Host: #{@host}", "Content-Length: #{body.bytesize}"]
      headers.each { |name, value| head << "#{name}: #{value}" }
      @socket.write("#{head.join("\r\n")}\r\n\r\n".b + body)
      read
    end

    def read
      line
      headers = {}
      until (header = line).empty?
        name, value = header.split(':', 2)
        headers[name.downcase] = value.strip
      end
      [headers, @socket.read(headers.fetch('content-length', '0').to_i)]
    end

    def line
      (@socket.gets("\r\n") or raise IOError, 'the Runtime API closed the connection').chomp("\r\n")
    end
  end
end
