extension WatchCommand {
  static let help = HelpText(
    usage: [
      "fin watch [PID|NAME …] [OPTIONS]", "fin watch --at TIME [OPTIONS]", "fin watch --lines", "fin watch --json",
    ],
    examples: """
      fin watch                       everything, once a second
      fin watch api.py --every 5s     one program, less often
      fin watch --at 02:13            as fin record saw it then; ← → to other looks
      fin watch --lines >> fin.log    what begins, worsens and ends
      fin watch --json | jq .event    the same for programs
      """,
    details: """
      Looks at the machine again and again, as fin check does, and shows six panes: the findings; the lifecycle of TCP \
      as RFC 9293 draws it, with the number of sockets in each state and the rate on each arrow; the sockets, the \
      listeners, the local ports and the programs, each as a table.

      Keys:
        1 to 6, Tab   the panes
        ↑ ↓ j k       choose a line; Page Up, Page Down, Home, End
        Enter         more: the evidence of a finding, its fix, the life of its
                      oldest socket; the life of a socket; the sockets of a state
                      or a program
        Esc           back; in a pane, no filter
        /             filter, see below
        s, r          sort by the next quantity; reverse
        Space         freeze the picture, and go on
        ←, →          with --at: the look before, and the one after
        b             with --at: the present, and back
        m, d          mark this look; show the difference from the mark
        K             end the sockets of the line, after their number was typed
        w             write the page of fin report into the current folder
        y             the command line that shows the same, and the program's
        ?             what could not be seen, and the keys
        q, Ctrl-C     quit; Ctrl-Z stops fin until the shell continues it

      A filter has words, all of which must hold: port:8080, program:api, state:close-wait, peer:10.0. for peers whose \
      address begins so, age>5m, age<10s; any other word is looked for in the line. The age is its lower bound.

      Rates are the differences between two looks: a socket that is in another state than before has taken the arrows \
      that lie on every way between the two. A connection whose life is shorter than the time between two looks is in \
      none of them, so that every rate is a lower bound.

      Looks are taken one after the other. If one takes longer than --every, the time between two grows, and the first \
      line says so.

      With --at, the picture is a look of the history that fin record writes, and ? says how exactly it is known. It \
      has no rates. m and d compare two looks, also one of the history with the present. K is for the present only, w \
      writes the page about the look that is shown, and y names it with --at. In a text, ← and → go back and further \
      as ever.

      K asks for the number of the sockets, and has the kernel compare the cookie of each, as fin kill does. Listeners \
      and MPTCP connections are left to fin kill and to their programs.

      Without a terminal, --lines prints a line for each change: a finding stands (it was there in the first look), \
      began, worsened (its severity rose, or its count doubled), or ended; --json prints an object for each, and one \
      at the beginning, whose event is watches.

      In the picture, age is yellow from a minute on and red from five, in states that a connection should leave \
      soon. NO_COLOR and --no-color are heeded; bold and reversed text remains.
      """,
    statuses: """
      0    quit by q
      64   the command was not understood, or there is no terminal
      65   a mute file has a line that is not valid
      66   a mute file cannot be read, or there is no history
      69   there is no such network namespace, or no look at the time
      71   the kernel could not be queried
      130  ended by Ctrl-C; by SIGTERM 143, by SIGHUP 129
      """)

  static let schema: JSONSchema? = JSONSchema(
    """
    +head
    event text watches, stands, began, worsened or ended
    findings [object] the one that changed, as it was last seen; none with watches
      +finding
    """, parts: CheckCommand.findingSchema, isLines: true)
}
