extension CheckCommand {
  static let schema: JSONSchema? = JSONSchema(
    """
    +head
    status number the exit status
    muted number of findings
    onPurpose [object] left out: the program declared it intentional
      id text
      name text
      program text?
      pid number?
      count number of sockets
      reason text
      milliseconds number for how much longer
    matching number of chains; --limit may leave some out
    findings [object] the worst first, causes before their effects
      +finding
    """, parts: findingSchema)

  /// A finding, as the schemas of other commands have it too.
  static let findingSchema: [Substring: String] = [
    "finding": """
    id text the code: L1
    name text
    severity text info, warning or critical
    chain number findings that explain each other share it
    sentence text
    count number of sockets, descriptors or processes
    who object? absent for the machine
      program text?
      script text?
      pid number?
      user number?
      unit text?
      container text?
      language text?
      descriptors [number]
      others [number] other processes that hold the sockets
    since object? absent if it has no age
      +bounds
    opened [object]? if its program publishes its ledger
      file text
      line number
      count number
    phases [object]? likewise
      phase text
      count number
    wait object? likewise: how the sockets are waited on
      untilDeadline number
      withoutEnd number
      deadlineMilliseconds number? the first deadline
    evidence [object]
      field text of the kernel
      value text
    facts [object] the confidence follows from them
      name text
      source text the place where it is read
      value text? absent if it could not be read
    why text? absent if it is not known
    fix object
      code text
      fin text
    confidence object
      word text certain, likely or possible
      doubt text? the other explanation
    percent number? the used part of the limit at risk
    """
  ]
}
