extension Lab {
  static let help = HelpText(
    usage: ["fin lab [EXPERIMENT …] [OPTIONS]"],
    examples: """
      fin lab                all experiments, with a table at the end
      fin lab flush          one experiment: a reply lost by the usual close
      fin lab --list         the experiments and their claims
      fin lab --async        Fin's half in tasks
      """,
    details: """
      Every experiment takes one claim about sockets from the three articles that Fin began with. It first does what \
      the usual recipe says, with plain system calls, then the same with Fin, and reads back from the kernel what \
      happened to the connection and its bytes. The verdict is computed from what was read back. A fin that was built \
      with the package trait TLS has two more, truncation and tickets, in which the usual recipe calls OpenSSL.

      Everything happens on the loopback interface, each experiment in a process of its own with a time limit. An \
      experiment that needs rights you do not have is skipped, with the reason.

      With --async, Fin's half runs in tasks on a reactor instead of threads: the same program with await, and the \
      same expectations. The usual recipes do not change. With --list, twin marks an experiment that runs \
      differently in a task; same marks one in which no call of Fin waits, so that it runs as without --async.

      How to read it:
        !     the trap: the usual recipe did what the truth says it does
        ?     the usual recipe did something else on this machine
        ok    Fin kept its promise        NO   Fin broke it
      """,
    statuses: """
      0    every verdict of Fin's holds (skipped experiments do not count)
      1    at least one does not
      64   the command was not understood, or there is no such experiment
      """)
}
