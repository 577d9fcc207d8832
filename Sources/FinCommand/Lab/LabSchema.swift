extension Lab {
  static let schema: JSONSchema? = JSONSchema(
    """
    version number 1; another number means more than new keys
    fin text the version of this command
    kernel text? the release of the running kernel; absent with --list
    seconds number? the duration of the whole run; absent with --list
    experiments [object]
      id text
      articles [text]
      claim text
      truth text
      async text? with --list: twin or same
      world text? threads or tasks: where Fin's half ran
      verdict text? kept, broken, timed out, crashed or skipped
      why text? the reason for the verdict, where there is more to say
      truthShown flag? absent if the usual recipe was not tried
      seconds number? the duration of the experiment
      trials [object]?
        side text naive or fin
        recipe text the calls that were made
        headline flag whether it stands for its side in the table
        outcome text
        problem text? the error that ended it early
        held flag whether everything was as expected
        facts [object]
          name text
          value value
          unit text bytes, count, seconds, text, flag
          source text
          expected text? if it decides the verdict
          met flag?
    summary object? absent with --list
      kept number
      broken number
      timedOut number
      crashed number
      skipped number
    """)
}
