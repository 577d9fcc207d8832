/// The program that a process runs, and its limits.
///
/// The author of that program chose most of these bytes. They are escaped when they are read (by the function
/// `visible`): no text here can hold a control character, and each may be printed.
public struct Program: Hashable, Sendable {
  /// The process.
  public var pid: Int32
  /// The name for display, as `ps` and `ss` show it: the kernel's short name of the main thread (`/proc/PID/comm`).
  /// Where that is only the beginning of the executable's file name, which the kernel cuts after 15 bytes, the whole
  /// file name.
  ///
  /// The two differ when a program was started through a symbolic link, or has renamed itself.
  public var name: String
  /// The file name of the executable; the short name where the executable may not be read.
  package var fileName: String
  /// The command line, its arguments separated by spaces; at most 4,096 bytes.
  public var commandLine: String
  /// The script that an interpreter runs, when the command line shows it: the file name of the script, or the name of
  /// the module: `api.py`, `http.server`.
  public var script: String?
  /// The name, and for an interpreter its script: `nginx`, `python3.11 api.py`.
  package var title: String { script.map { name + " " + $0 } ?? name }
  /// The user it runs as.
  public var user: UInt32
  /// The unit of the service manager that it belongs to, `nginx.service`, or the container's scope; nil outside of one.
  public var unit: String?
  /// The first twelve digits of the container's name, when the path of its cgroup holds one.
  public var container: String?
  /// The path of its cgroup.
  package var cgroupPath: String?
  /// The time since it started.
  public var age: Duration?
  /// The moment of its start, in clock ticks since the machine's: with the process's number it names one process, also
  /// when the number is used again.
  package var started: UInt64?
  /// The process that started it, or that adopted it.
  package var parent: Int32?
  /// The leader of its process group: usually the process that a shell or a service manager started.
  package var group: Int32?
  /// The limit on its open descriptors (the soft limit).
  public var descriptorLimit: UInt64?
  /// The executable's path; nil when it may not be read.
  public var executable: String?

  /// Makes a program of which only these values are known.
  package init(pid: Int32, name: String, user: UInt32 = 0) {
    self.pid = pid
    self.name = name
    fileName = name
    commandLine = name
    self.user = user
  }
}
