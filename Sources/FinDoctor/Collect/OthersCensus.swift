extension Census {
  /// Takes a census without this process, the one that forks its helpers, and the helpers: they are no subject of
  /// their own report.
  package static func takeOfOthers(_ options: Options) throws(Failure) -> Census {
    var census = try take(options)
    var own: Set = [ThisProcess.pid]
    if let source = Helpers.source {
      own.insert(source)
      own.formUnion(census.programs.lazy.filter { $0.value.parent == source }.map(\.key))
    }
    census.leaveOut(own)
    return census
  }
}
