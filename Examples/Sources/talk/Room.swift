import Fin

/// The members of the room, and the lines that they exchange.
///
/// An actor may keep shared connections. A send waits for a member that reads slowly, but for one second at most: then
/// that member's connection is aborted, so that it does not delay the others.
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
