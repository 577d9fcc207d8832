extension CheckCommand {
  static let help = HelpText(
    usage: ["fin check [PID|NAME …] [OPTIONS]", "fin check --leaks --pid PID", "fin check --leaks -- COMMAND …"],
    examples: """
      fin check                          every problem of the machine
      fin check nginx 812                of all nginx, and of process 812
      fin check --over 10s               with growth, drops and resets
      fin check --leaks --pid 812        one process, as a gate
      fin check --leaks -- ./run-tests   a command, at its exit
      fin check --textfile fin.prom      metrics, for node_exporter
      """,
    details: """
      Examines every socket of the machine, or of the named programs, and reports problems, the worst first. It \
      changes nothing and needs no root; without root, standard error says what could not be seen.

      A finding says how old the problem is, as far as the kernel can tell: one time, or a lower and an upper bound. A \
      cause stands before its effects, which are listed below it.

      Findings:
      \(CheckText.catalogue)

      Some findings need more than one snapshot, which --over takes: growth in three steps in a row, the time until a \
      limit is reached, and what was dropped or reset in between.

      Findings that are expected are muted in ~/.config/fin/mute or with --mute FILE, one per line:
        P2 pubsub-*   # idle by design
      A line has a finding (or *), a program or the script it runs, and the reason. The file must belong to the user \
      who runs fin, or to root, and be writable by no other user; a symbolic link is not followed.

      A program that uses Fin and runs with FIN_LEDGER=1 publishes the source line that opened each of its sockets, \
      and the behaviour that it declares intentional. Its findings name these lines; intentional behaviour is left \
      out, and counted.

      As a gate, --leaks checks one process for leaks (L1 to L6); a single one is enough. With a command instead, \
      fin runs it, hands on the signals that it gets itself, stops the command at its end, and reports the sockets \
      that it had not closed, those that its children still hold (L5), connections that were reset because of unread \
      data (L7), and data that is still to be delivered (H2):
        fin check --leaks --pid $PID
        fin check --leaks -- ./run-the-tests
      An interpreter that closes its sockets before it exits, as CPython does, leaves none to be found at its exit. \
      There, use --pid while the program runs, or python -X dev, which warns of each socket that was not closed.

      --textfile writes the metrics of fin help metrics, in the folder of node_exporter's textfile collector. Run it \
      every minute. The file is replaced as a whole; findings do not change the exit status, and a file that cannot be \
      written is an error. Each run begins without memory: growth, and the series of programs that have ended, are in \
      no file.
      """,
    statuses: """
      0    no finding, none from --threshold on, or only for information
      0    --textfile: the file is written, whatever was found
      1    warnings
      2    at least one critical finding
      3    --leaks with a command: no finding, but the command itself failed
      4    the sockets of the named processes, or of the command, could not be seen
      64   the command was not understood
      65   a mute file has a line that is not valid, or the file of --from is not
      66   a mute file or the file of --from cannot be read
      69   there is no such process, or the command of --leaks could not be run
      71   the kernel could not be queried
      """)
}
