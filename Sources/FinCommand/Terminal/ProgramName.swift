import ArgumentParser
import FinDoctor

/// A process given by its pid, or all processes of one name.
enum ProgramName: ExpressibleByArgument {
  case pid(Int32)
  case name(String)

  init?(argument: String) {
    guard !argument.isEmpty else { return nil }
    self = Int32(argument).map { .pid($0) } ?? .name(argument)
  }

  func matches(_ pid: Int32, _ program: Program?) -> Bool {
    switch self {
    case .pid(let number): number == pid
    case .name(let name): program.map { [$0.name, $0.fileName, $0.script].contains(name) } ?? false
    }
  }
}
