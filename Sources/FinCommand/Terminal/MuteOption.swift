import ArgumentParser
import FinDoctor
import FinTerminal
import Glibc

/// The option that names files of muted findings.
struct MuteOption: ParsableArguments {
  @Option(help: ArgumentHelp("A file that mutes findings.", valueName: "file"), completion: .file())
  var mute: [String] = []

  /// The path of the user's mute file.
  private static var usualMutes: String? {
    func value(_ name: String) -> String? {
      unsafe getenv(name).map { unsafe String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
    return (value("XDG_CONFIG_HOME") ?? value("HOME").map { $0 + "/.config" }).map { $0 + "/fin/mute" }
  }

  /// Reads the files.
  func read() throws -> Mutes {
    var all = Mutes()
    var paths = mute.map { (path: $0, isAsked: true) }
    if let usual = Self.usualMutes { paths.append((usual, false)) }
    for (path, isAsked) in paths {
      let text: String
      do {
        text = try ConfigurationFile.read(path)
      } catch .absent {
        if !isAsked { continue }
        throw ExitStatus.noInput.because("\(visible(path)) does not exist")
      } catch .because(let reason) {
        if isAsked { throw ExitStatus.noInput.because("\(visible(path)) \(reason)") }
        Output.complain("\(visible(path)) \(reason): it mutes nothing")
        continue
      }
      do {
        all = all.adding(try Mutes(parsing: text))
      } catch {
        throw ExitStatus.badData.because("\(visible(path)), \(error)")
      }
    }
    return all
  }
}
