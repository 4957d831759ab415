# frozen_string_literal: true

# Runs a Function's handler under Ruby, as AWS's runtime client does (gem aws_lambda_ric 3.1.3): it finds handlers, names
# errors, and writes log lines in the same way.

require 'json'
require 'stringio'
require 'time'

require_relative 'ruby/api'
require_relative 'ruby/context'
require_relative 'ruby/errors'
require_relative 'ruby/handler'
require_relative 'ruby/log'

# AWS's client has loaded these before the Function's code, which may use them without asking. Here they are loaded when
# they are first used, because that takes longer than all the rest.
autoload :Net, 'net/http'
autoload :URI, 'uri'

module TasklaneRuntime
  # The exit codes are those of AWS's client.
  INIT_FAILED = -4
  HANDLER_FAILED = -1

  class << self
    def run
      api = Api.new
      handler = load_handler(api)
      loop { answer(api, handler, api.next_invocation) }
    end

    private

    def load_handler(api)
      $LOAD_PATH.unshift(ENV.fetch('LAMBDA_TASK_ROOT'))
      Handler.new(ENV.fetch('_HANDLER')).tap { |handler| require handler.file }
    rescue Exception => e # whatever the Function's own code raises, `exit` included
      failure = Failure.new(e, 'Init')
      Log.error(failure, 'Init error when loading handler ')
      api.fail_init(failure)
      exit(INIT_FAILED)
    end

    def answer(api, handler, invocation)
      Log.request_id = invocation.request_id
      ENV['_X_AMZN_TRACE_ID'] = invocation['Lambda-Runtime-Trace-Id']
      response, content_type = handler.call(invocation)
      api.respond(invocation.request_id, response, content_type)
    rescue Failure => e
      Log.error(e, e.is_critical ? 'Critical exception from handler' : 'Error raised from handler method')
      api.fail(invocation.request_id, e)
      # As on Lambda, where the next run gets a new process.
      exit(HANDLER_FAILED) if e.is_critical
    end
  end
end

TasklaneRuntime.run
