import ArgumentParser
import FinTerminal

/// The help of the command as a whole.
enum RootHelp {
  static func text(isLong: Bool) -> String {
    let terminal = Terminal.standardOutput(noColor: false)
    let page = HelpPage(isLong: isLong, terminal: terminal)
    var lines = [FinCommand.configuration.abstract, "", "Usage: fin COMMAND [OPTIONS]", ""]
    lines += [page.heading("Commands:")] + commands.map { "  " + Terminal.pad($0.name, to: 11) + $0.effect } + [""]
    lines += [page.heading("Examples:")] + examples.split(separator: "\n").map { "  " + $0 } + [""]
    if isLong {
      lines += page.paragraphs(details) + ["", page.heading("Exit status:")]
      lines += (statuses + "\n" + HelpPage.sharedStatuses).split(separator: "\n").map { "  " + $0 } + [""]
    }
    lines.append("More: fin COMMAND -h, fin help COMMAND, fin help json, fin help metrics, fin --version")
    return lines.joined(separator: "\n") + "\n"
  }

  static let commands: [(name: String, effect: String)] = [
    ("check", "find sockets that do not end as they should, and the cause"),
    ("explain", "the life of one socket, or what stands in the way of a bind"),
    ("list", "every socket, its owner, and how long it is in its state"),
    ("ports", "the local ports left for each destination"),
    ("listeners", "the clients in each listener's queue, and who accepts"),
    ("kill", "end connections of other programs"),
    ("watch", "all of it live on a terminal, with rates"),
    ("census", "a snapshot as a file, for --from of the others"),
    ("report", "all of this as one page of HTML, to look at and to send"),
    ("record", "write a history, for --at of the others; who held a port when"),
    ("diff", "the changes from one moment of the history to another"),
    ("export", "serve metrics of all this, for Prometheus"),
    ("rights", "what this user may see, and which capability adds what"),
    ("connect", "standard input and output to a server, and how it ended"),
    ("serve", "an echo, or a command for each client, and how they ended"),
    ("relay", "connections passed on to a server, with their ends"),
    ("lab", "try on real sockets what each way of closing does"),
    ("lifecycle", "the table of a socket's life"),
  ]

  static let examples = """
    fin check                       every problem of the machine
    fin explain 812:7               descriptor 7 of process 812
    fin explain bind :8080          what would refuse a listener there
    fin list --state close-wait     connections that their program has not closed
    fin lab flush                   a reply lost by the usual close
    """

  static let details = """
    A program that closes a socket learns nothing about the bytes that are still in flight. `fin` shows what happens \
    to them. It examines the sockets of every program, changes nothing except with fin kill, and needs no root; \
    without root, standard error says what could not be seen.

    Addresses are written 127.0.0.1:80, [::1]:80, or [fe80::1%eth0]:80 with the interface of a link-local address, \
    which each network namespace looks up for its own sockets; names of hosts are not resolved. The tables are as wide \
    as the terminal, or as COLUMNS says; in a pipe, 100 columns.
    """

  static let statuses = """
    0    success
    1    fin check: warnings; fin lab: a verdict does not hold; the help of each command lists its own
    64   the command was not understood
    69   what was named does not exist
    71   the kernel could not be queried
    """
}
