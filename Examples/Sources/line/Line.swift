import Fin
import Glibc

/// Sends each line of the input and prints the line that the server answers: `echo hello | line localhost:7777`.
///
/// The exit status is 0 when everything sent was delivered, 1 when it was not, and 2 when there was no connection or no
/// answer.
@main
enum Line {
  static func main() {
    guard CommandLine.arguments.count == 2 else {
      print("usage: line host:port")
      exit(64)
    }
    do {
      let server = try Endpoint(parsing: CommandLine.arguments[1])
      let (answers, end) = try withConnection(to: server, within: .seconds(5)) { connection in
        var answers = 0
        while let line = readLine() {
          try connection.send(line + "\n")
          guard let answer = try connection.receiveLine(within: .seconds(10)) else { break }
          print(answer)
          answers += 1
        }
        return answers
      }
      print("\(answers) answers; \(end)")
      exit(end.isDelivered ? 0 : 1)
    } catch {
      print(error)
      exit(2)
    }
  }
}
