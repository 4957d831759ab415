# frozen_string_literal: true

module TasklaneRuntime
  # What a Function raised, as AWS's client reports it: `Function<NameError>`.
  class Failure < StandardError
    # What AWS's client names in a header; the names of a Function's own classes are only in the body.
    NAMED = %w[
      ArgumentError NoMethodError Exception StandardError NameError LoadError SystemExit SystemStackError
    ].freeze
    MOST_FRAMES = 100
    RUNTIME = "#{File.dirname(__dir__)}/"
    private_constant :NAMED, :MOST_FRAMES, :RUNTIME

    # Whether the process ends after it.
    attr_reader :is_critical

    def initialize(error, source, is_critical: false)
      @class_name = error.class.to_s
      @type = "#{source}<#{@class_name}>"
      @message = explained(error)
      @trace = own_frames(error)
      @is_critical = is_critical
      super(@message)
    end

    def type_in_header
      NAMED.include?(@class_name) ? @type : 'Function<UserException>'
    end

    def to_h
      { errorMessage: @message, errorType: @type, stackTrace: @trace }
    end

    private

    # The frames down to this runtime's.
    def own_frames(error)
      frames = (error.backtrace_locations || []).first(MOST_FRAMES).map(&:to_s)
      frames.take_while { |frame| !frame.start_with?(RUNTIME) }.map { |frame| well_formed(frame) }
    end

    # The error's message. If the AWS SDK is missing, also why.
    def explained(error)
      message = well_formed(message_of(error).to_s)
      return message unless error.is_a?(LoadError) && error.path.to_s.start_with?('aws-sdk')

      "#{message}: Lambda's runtime includes the AWS SDK, this machine's does not: put it into the package"
    end

    # Up to Ruby 3.1 the message holds hints and a piece of the code, too, which Lambda's Rubies leave out.
    def message_of(error)
      has_hints = error.respond_to?(:original_message) && !error.respond_to?(:detailed_message)
      has_hints ? error.original_message : error.message
    end

    def well_formed(text)
      text.encode('UTF-8', invalid: :replace, undef: :replace).scrub
    end
  end
end
