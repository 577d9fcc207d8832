import FinDoctor
import FinTerminal

extension JSONWriter {
  /// Writes the members of a process, as all schemas have them.
  mutating func write(program pid: Int32, in census: Census) {
    if pid > 0 { write("pid", number: UInt64(pid)) }
    if let program = census.programs[pid] {
      write("program", string: program.name)
      if let script = program.script { write("script", string: script) }
      if let unit = program.unit { write("unit", string: unit) }
      if let container = program.container { write("container", string: container) }
    }
  }

  /// Writes two bounds in milliseconds; nothing if they are unknown.
  mutating func write(_ key: JSONKey, since: AgeBounds?) {
    guard let since, since != .unknown else { return }
    object(key) { json in
      json.write("atLeastMilliseconds", number: since.lower)
      if since.atMost != nil { json.write("atMostMilliseconds", number: since.upper) }
    }
  }

  /// Writes the members that every schema begins with.
  /// - Parameter hidden: What could not be seen; by default, the gaps of the census.
  mutating func writeHead(_ census: Census, hidden: [String]? = nil) {
    write("version", number: UInt64(1))
    write("fin", string: CommandVersion.current)
    write("taken", number: UInt64(max(0, census.when.wall)) / 1_000_000)
    array("hidden") { json in
      for sentence in hidden ?? census.gaps.sentences { json.write(string: sentence) }
    }
    write("unseenHolders", number: UInt64(census.gaps.unseenHolders))
  }
}
