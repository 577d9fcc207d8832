extension ServeCommand {
  static let help = HelpText(
    usage: ["fin serve ADDR (--echo | --discard | --chargen) [OPTIONS]", "fin serve ADDR [OPTIONS] --exec COMMAND …"],
    examples: """
      fin serve localhost:7777 --echo                a server to try a client on
      fin serve :9 --discard --json                  how do the uploads end?
      fin serve /run/date.sock --exec date           a Unix socket; one answer
      fin serve :8443 --echo --tls --cert chain.pem --key key.pem
      fin serve :7 --idle 5s --exec sh -c 'sort -u'  the client's lines, sorted
      fin serve :7 --handover /run/7 --echo          twice: the second takes over
      """,
    details: """
      Prints a line for each connection that has ended: how, with the bytes of each direction and those that the \
      client's kernel did not acknowledge. No end goes unsaid: while a program that reads the lines does not take \
      them, clients wait once the pipe is full (send them to a file or to /dev/null), and a line that cannot be \
      written stops fin. A name is served at each of its addresses, :7777 at all of the machine's.

      --exec runs the command once for each client, with the client's bytes as its standard input, and its standard \
      output as the answer; standard error stays that of fin. Ends are kept. When the client finishes sending, the \
      command reads end of file; when its output ends, the client does, and the other direction goes on. A client \
      that resets ends the command, and a command that a signal ends resets its client. FIN_REMOTE_ADDRESS and \
      FIN_LOCAL_ADDRESS in its environment are the two addresses (for a Unix client, its pid), and \
      FIN_ORIGINAL_ADDRESS is the client for which a proxy speaks. The command leads a \
      process group, which gets SIGTERM, and SIGKILL after a second, when the connection fails or the time is over.

      --handover lets a server be replaced without a client noticing. The first one binds ADDR and offers its listener \
      at the path. A later one with the same ADDR takes the listener over, with the clients in its queue, and offers \
      it in turn; the first one ends its conversations within --grace, as after SIGTERM. Commands that run go on with \
      their clients until then; what is left at the end of --grace is ended, its client reset, and the status 1. If \
      the later one dies before it serves, the first goes on. Both must run as the same user, or the later one's \
      predecessor as root.

      With --proxy every connection has to begin with a PROXY header, as HAProxy's send-proxy and send-proxy-v2 write \
      it, and has to come from an address of --trust; others are reset, each with a line. The whole header has 5 s, or \
      the time of --idle if that is shorter. The addresses of a LOCAL header are ignored, and --per-peer counts by \
      the client that the header names.

      --tls needs a fin that was built with the package trait TLS; fin's packages are built without it. The handshake \
      has 10 s, in the client's own thread. A client with which it fails is reset, and its line says why. A client \
      whose stream ends without close_notify is reset too: its bytes may be a part only.

      SIGTERM, SIGINT and SIGHUP stop the server: it takes no new clients, serves those that have come, and gives them \
      --grace to end; what is left then, or at a second signal, is reset. At the end it prints a report. A third \
      signal ends fin as it is.
      """,
    statuses: """
      0    stopped, and every client had ended
      1    stopped; clients were reset at the end of --grace, or by a second signal
      64   the command was not understood
      66   the file of --cert or of --key could not be used
      68   the name has no address
      69   the address cannot be listened on, or the server at the --handover path
           does not hand over; there is no such command
      71   the kernel ended the listener
      77   not permitted: a port below 1024, or the folder of a path
      """)
}
