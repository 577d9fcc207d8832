import Fin

/// The options of the command line: `fin-server [flags] echo|count BUFFER`.
struct Flags: Sendable {
  enum Work: String { case echo, count }

  static let usage = """
    usage: fin-server [flags] echo|count BUFFER
           fin-server close
      --within SECONDS     a deadline given to every operation
      --no-timeouts        no deadline, neither given nor by default
      --closing POLICY     background, confirmed or lingering (background)
      --arrays             receives arrays instead of filling a buffer
      --main-actor         the same, on the main actor: each wait is followed by a hop
      --tls FOLDER         secures each client, with cert.pem and key.pem of the folder; needs the package trait TLS

    """

  var work = Work.echo
  var buffer = 4096
  var within = Timeout.default
  var timeouts = Timeouts.default
  var closing: ClosePolicy = .background
  var arrays = false
  var onMainActor = false
  var certificates: String?

  /// Parses the words of the command line; `nil` for an unknown or incomplete one.
  init?(_ words: [String]) {
    var words = words[...]
    while let flag = words.first, flag.hasPrefix("--") {
      words.removeFirst()
      switch flag {
      case "--within":
        guard let seconds = words.popFirst().flatMap(Int.init) else { return nil }
        within = .seconds(seconds)
      case "--no-timeouts":
        timeouts = Timeouts(connect: .never, send: .never, receive: .never, accept: .never, keepAlive: nil)
      case "--closing":
        switch words.popFirst() {
        case "background": closing = .background
        case "confirmed": closing = .confirmed
        case "lingering": closing = .lingering
        default: return nil
        }
      case "--arrays": arrays = true
      case "--main-actor": onMainActor = true
      case "--tls":
        guard let folder = words.popFirst() else { return nil }
        certificates = folder
      default: return nil
      }
    }
    guard words.count == 2, let work = Work(rawValue: words.removeFirst()), let buffer = Int(words.removeFirst()),
      buffer > 0
    else { return nil }
    self.work = work
    self.buffer = buffer
  }
}
