import ArgumentParser
import FinTerminal

/// The exit statuses of all commands. Those from 64 on have the numbers and the meanings of `sysexits.h`.
enum ExitStatus: Int32 {
  case success = 0
  /// Warnings; a bind that will be refused; a socket that has not ended; a verdict that does not hold.
  case problem = 1
  /// Critical findings; a bind that may be refused; a kill that was not confirmed.
  case grave = 2
  /// The command that `fin check --leaks` ran failed, and the check found nothing.
  case commandFailed = 3
  /// The sockets of the named programs, or of the command, could not be seen: the absence of findings says nothing.
  case couldNotLook = 4
  /// The peer reset the connection, or closed it before it had read everything.
  case reset = 5
  /// A time limit passed: of the connecting, of a silence, of the close.
  case timedOut = 6
  /// The kernel gave the connection up, or an administrator ended it.
  case lost = 7
  case usage = 64
  case badData = 65
  case noInput = 66
  /// The name has no address (`EX_NOHOST`).
  case noHost = 68
  case unavailable = 69
  case kernelFailure = 71
  /// The output could not be written; ``Output`` ends most commands with it.
  case outputFailed = 74
  /// TLS: the server is not proven to be the wanted one, the handshake failed, or the stream was cut off
  /// (`EX_PROTOCOL`).
  case protocolFailure = 76
  case notPermitted = 77
  /// SIGINT, SIGTERM and SIGHUP ended `fin connect`, which then ends itself by the same signal: the numbers are those
  /// that a shell shows.
  case hungUp = 129
  case interrupted = 130
  case terminated = 143

  /// The error that ends the command with this status.
  var exit: ExitCode { ExitCode(rawValue) }

  /// Writes the reason to standard error, and returns the error that ends the command with this status.
  func because(_ sentence: String) -> ExitCode {
    Output.complain(sentence)
    return exit
  }
}
