import Dispatch
@preconcurrency import Glibc

@main
enum Main {
  // Not an asynchronous function: its thread would wait in libdispatch, in a call that valgrind 3.19 does not survive
  // (`sigsuspend` with a signal set in read-only memory). Only the main actor needs it there.
  static func main() {
    Task.detached {
      do { try await run() } catch {
        fputs("\(error)\n", stderr)
        exit(1)
      }
      exit(0)
    }
    if CommandLine.arguments.contains("--main-actor") { dispatchMain() }
    while true { pause() }
  }

  private static func run() async throws {
    let words = Array(CommandLine.arguments.dropFirst())
    if words == ["close"] { return try await CloseTimes.measure() }
    guard let flags = Flags(words) else {
      fputs(Flags.usage, stderr)
      exit(2)
    }
    try await serve(flags)
  }
}
