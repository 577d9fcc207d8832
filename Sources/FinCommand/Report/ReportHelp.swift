extension ReportCommand {
  static let help = HelpText(
    usage: ["fin report [-o FILE] [--for TIME] [OPTIONS]", "fin report --diff BEFORE AFTER"],
    examples: """
      fin report                          a page about this machine, in this folder
      fin report -o case.html             under this name
      fin report --for 60s                also rates, lifetimes, and what grew
      fin report --redact -o public.html  without names and addresses
      fin report --from case.json -o -    from a file of fin census, to a pipe
      fin report --diff old.html new.html what changed between two pages
      """,
    details: """
      Writes one file of HTML with all that fin sees: the findings of fin check as cards, with the bounds of their \
      times and the changes to make, the states of TCP with the number of sockets in each, timelines of the worst \
      sockets, local ports, listeners and their queues, descriptors and their limits, peers, a table of all sockets, \
      and how the census was taken. The data is inside, as JSON.

      With --for, fin looks again and again for that time, from 1s to 1h, and the page has a section about it: the \
      connections that began and ended, by program and port, a second and how long they lasted; the rates at which \
      sockets came into each state of TCP and into each finding, and left; and what grew, as lines. Rates are what two \
      looks show, at least. There is a look each second; in a time of seconds there are more, and in one of minutes no \
      more than \(ReportPeriod.mostLooks) in all. A terminal shows how far it is. Ctrl-C, SIGTERM and SIGHUP end the \
      time: the page then has what was seen so far, and says so, with status 0.

      The page loads nothing and sends nothing: a content security policy forbids it. Its script only sorts, filters \
      and opens; without it, everything is there but the rows of the table after the first \(ReportTable.most).

      The file is replaced as a whole, or stays as it was, and only its owner may read it: it has the arguments of \
      programs. Findings do not change the exit status.

      With --redact, the page may be given to others. Names, arguments, paths and users are numbered, the same by the \
      same, and addresses are replaced as fin census --redact does it. The name of the host is left out. Ports, \
      processes, times and counts stay as they are. Someone who knows some of the addresses can guess parts of others.

      --diff reads the data back out of two pages of one machine, and prints the findings that appeared, ended, or \
      changed their count, and how many sockets appeared and ended, by program and state. A socket is known by its \
      kind, its network namespace and its ends; one without a peer also by its owner and descriptor. A new connection \
      between the same ends passes for the old one. Listeners, local ports and descriptors are compared where both \
      pages have them. Redacted pages cannot be compared: each numbers the names in its own order.
      """,
    statuses: """
      0    written, with findings or without, also if a signal ended --for
      64   the command was not understood
      65   a mute file, the file of --from or a page of --diff is not valid
      66   a mute file, the file of --from or a page of --diff cannot be read
      69   there is no such network namespace
      71   the kernel could not be queried
      """)

  static let schema: JSONSchema? = JSONSchema(
    """
    kind text fin report
    +head
    redacted flag
    origin object
      host text? absent if redacted, or read from a file
      kernel text?
      uptimeSeconds number?
      user number? the user who ran the command
      file text? the file of --from
    muted number of findings
    verdict text
    +period
    findings [object] the worst first, causes before their effects
      +finding
    states [object] of TCP and MPTCP, with a socket each
      state text
      count number
      oldest object?
        +bounds
    budgets [object] the fullest local port ranges
      route text
      capacity number
      connected number
      timeWait number
      bound number
      free number
    listeners [object] the worst
      listener text
      owner text
      waiting number
      limit number
      drops number? absent for a Unix socket
      oldest object?
        +bounds
    descriptors [object] the programs nearest to their limit
      program text
      command text
      used number
      limit number?
    sockets object in columns; a row is the same place in each
      count number of rows
      kinds [text]
      states [text]
      owners [text]
      addresses [text]
      namespaces [text]
      runs object each a value, then the number of rows that have it, and so on
        finding [number] an index in findings, or -1
        kind [number] an index in kinds
        namespace [number] an index in namespaces, or -1
        state [number] an index in states
        owner [number] an index in owners
        local [number] an index in addresses
        localPort [number]
        remote [number] an index in addresses
        receiveQueue [number]
        sendQueue [number]
      values object a number for each row
        remotePort [number]
        least [number] the time in the state, at least, in tenths of a second
        spread [number] the upper bound less the lower one; -1 for none
        descriptorSteps [number] the descriptor less that of the row before; -1 is no descriptor
    """, parts: CheckCommand.findingSchema.merging(["period": ReportPeriodPanel.schema]) { $1 },
    place: "The data in the page of fin report is")
}
