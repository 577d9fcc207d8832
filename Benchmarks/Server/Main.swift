@preconcurrency import Glibc

@main
enum Main {
  static func main() async throws {
    let words = Array(CommandLine.arguments.dropFirst())
    if words == ["close"] { return try await CloseTimes.measure() }
    guard let flags = Flags(words) else {
      fputs(Flags.usage, stderr)
      exit(2)
    }
    try await serve(flags)
  }
}
