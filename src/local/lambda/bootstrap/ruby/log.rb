# frozen_string_literal: true

require 'logger'

# Every line is in the pipe before the response is sent.
$stdout.sync = true
$stderr.sync = true

module TasklaneRuntime
  module Log
    class << self
      attr_accessor :request_id

      # One call is one log entry, even if it has several lines: the reader of the pipe turns \r back into a line break.
      def write(text)
        $stdout.write("#{text.b.chomp.tr("\n", "\r")}\n")
      end

      def error(failure, message)
        write(message)
        write(JSON.pretty_generate(failure.to_h))
      end
    end
  end

  # What a `Logger` without a file of its own writes to.
  class LogDevice < Logger::LogDevice
    # The device is this process's log: there is nothing to open.
    def initialize; end

    def write(message)
      Log.write(message)
    end

    def reopen(_log = nil); end

    def close; end
  end

  # The format of Lambda's `Logger`: Ruby's own, with the id of the request.
  class LogFormatter < Logger::Formatter
    FORMAT = "%<short>s, [%<time>s #%<process>d] %<severity>5s %<request_id>s -- %<progname>s: %<message>s"

    def call(severity, time, progname, msg)
      format(FORMAT, short: severity[0], time: format_datetime(time), process: Process.pid, severity: severity,
                     request_id: Log.request_id, progname: progname, message: msg2str(msg)).encode('UTF-8')
    end
  end

  # Makes `Logger.new($stdout)` log as it does on Lambda.
  module LoggerPatch
    def initialize(logdev, *arguments, level: 'debug', formatter: nil, **options)
      if !logdev || logdev == $stdout || logdev == $stderr
        logdev = LogDevice.new
        formatter ||= LogFormatter.new
      end
      super(logdev, *arguments, level: level, formatter: formatter, **options)
    end
  end
end

Logger.prepend(TasklaneRuntime::LoggerPatch)

module Kernel
  # As on Lambda, one entry for each call.
  def puts(*arguments)
    TasklaneRuntime::Log.write(arguments.flatten.map { |argument| argument.to_s.encode('UTF-8') }.join("\n"))
    nil
  end
end
