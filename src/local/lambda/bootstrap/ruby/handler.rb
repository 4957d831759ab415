# frozen_string_literal: true

module AwsLambda
  # How events and results become JSON. The names are those of AWS's client, because Functions may replace these methods.
  class Marshaller
    class << self
      def marshall_request(raw_request)
        raw_request['Content-Type'] == 'application/json' ? JSON.parse(raw_request.body) : raw_request.body
      end

      # JSON, or a stream and its type.
      def marshall_response(method_response)
        case method_response
        when StringIO, IO then [method_response, 'application/unknown']
        else method_response.to_json
        end
      end
    end
  end
end

module TasklaneRuntime
  # The method that an entry point names: `file.method`, or `file.Module::Class.method`.
  class Handler
    attr_reader :file

    def initialize(entry_point)
      # Methods of a file belong to every object.
      @everything = Object.new
      parts = entry_point.split('.')
      case parts.size
      when 2 then @file, @method = parts
      when 3 then @file, @class, @method = parts
      else
        raise ArgumentError,
              "Invalid handler #{parts}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD where FILENAME corresponds " \
              'with an existing Ruby source file FILENAME.rb, CLASS is an optional module/class namespace and METHOD is a ' \
              'callable method. If using CLASS, METHOD must be a class-level method.'
      end
    end

    # The response, and its type if it is no JSON.
    def call(invocation)
      context = LambdaContext.new(invocation)
      event = AwsLambda::Marshaller.marshall_request(invocation)
      receiver = @class ? Kernel.const_get(@class) : @everything
      AwsLambda::Marshaller.marshall_response(receiver.__send__(@method, event: event, context: context))
    rescue NameError => e
      raise Failure.new(e, 'Function', is_critical: true)
    rescue StandardError => e
      raise Failure.new(e, 'Function')
    rescue Exception => e # `exit` and its like
      raise Failure.new(e, 'Function', is_critical: true)
    end
  end
end
