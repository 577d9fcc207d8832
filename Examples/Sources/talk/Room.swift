import Fin

/// Who is there, and what is said.
///
/// An actor may keep shared connections; sending waits for whoever reads slowly, but not for long: who has not read after a
/// second is aborted, so that nobody keeps the others waiting.
actor Room {
  private var members: [Int: SharedConnection] = [:]
  private var last = 0

  /// - Returns: the member's number.
  func enter(_ member: SharedConnection, _ name: String) async -> Int {
    last += 1
    members[last] = member
    let number = last
    await say("\(name) is here", except: number)
    return number
  }

  func leave(_ number: Int) { members[number] = nil }

  func say(_ line: String, except number: Int? = nil) async {
    for (other, member) in members where other != number {
      do { try await member.send("\(line)\n", within: .seconds(1)) } catch {
        members[other] = nil
        await member.abort()
      }
    }
  }
}
