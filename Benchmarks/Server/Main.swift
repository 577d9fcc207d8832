@preconcurrency import Glibc

@main
enum Main {
  static func main() throws {
    guard CommandLine.arguments.dropFirst() == ["close"] else {
      fputs("usage: fin-server close\n", stderr)
      exit(2)
    }
    try CloseTimes.measure()
  }
}
