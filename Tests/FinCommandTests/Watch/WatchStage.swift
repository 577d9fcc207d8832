import FinTerminal
import Peers

@testable import FinCommand
@testable import FinDoctor

/// Looks at staged censuses, and models that show them.
enum WatchStage {
  /// Names that a terminal would act on, turn around or cut in half.
  static let hostile = "\u{1B}[2J\u{1B}]0;x\u{7}\u{9B}31m\u{202E}x"
  static let wide = "接続世界 한 😀 e\u{301}"

  static func look(_ census: Census, _ choice: WatchChoice = WatchChoice(threshold: .info)) -> WatchLook {
    var taking = WatchTaking(choice)
    return taking.look(at: census, Diagnosis.findings(in: census))
  }

  /// A program as it is read: its names are escaped then.
  static func census(sockets: Int, program: String = "api") -> Census {
    ReportStage.record(
      sockets: sockets, program: visible(program), arguments: visible(program + " --serve")
    ).census
  }

  static func model(_ look: WatchLook?, columns: Int = 80, rows: Int = 24, _ keys: String = "") -> WatchModel {
    var model = WatchModel()
    (model.columns, model.rows) = (columns, rows)
    (model.machine.host, model.machine.kernel) = ("web-3", "6.18.5")
    if let look { model.take(look) }
    press(keys, on: &model)
    return model
  }

  /// Presses these keys; `\r` is Enter, `\u{1B}` Esc, and arrows are their sequences.
  @discardableResult
  static func press(_ keys: String, on model: inout WatchModel) -> [WatchEffect] {
    var reader = KeyReader()
    return (reader.keys(in: keys.utf8) + reader.flush()).map { key in
      let effect = model.press(key)
      model.settle()
      return effect
    }
  }

  static func lines(_ model: WatchModel) -> [String] { WatchDrawing.draw(model).lines }

  /// A census of TCP sockets in these states; each number is a socket's own for as long as it is used.
  static func census(_ states: [UInt64: SocketState], at seconds: UInt64 = 10) -> Census {
    var rows: ContiguousArray<InetSocket> = []
    for (number, state) in states.sorted(by: { $0.key < $1.key }) {
      var socket = InetSocket()
      (socket.cookie, socket.state) = (number, state)
      (socket.localPort, socket.remotePort) = (8080, UInt16(2000 + number))
      rows.append(socket)
    }
    return Census(sockets: rows, when: Census.Moment(monotonic: seconds * 1_000_000_000, wall: 0))
  }
}
