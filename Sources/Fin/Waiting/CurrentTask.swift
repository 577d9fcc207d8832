internal import CFin

/// The task that runs on this thread, asked on the path of every operation: the standard library's functions for it
/// retain the task, or are generic and call a closure.
enum CurrentTask {
  /// The task's identity; 0 outside of tasks.
  @inline(__always)
  static var identity: UInt { unsafe UInt(bitPattern: swift_task_getCurrent()) }

  /// The same as `Task.isCancelled`; false outside of tasks.
  @inline(__always)
  static var isCancelled: Bool {
    guard let task = unsafe swift_task_getCurrent() else { return false }
    return unsafe swift_task_isCancelled(task)
  }
}
