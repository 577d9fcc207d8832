#pragma once

/// From now on `accept4` fails in this process with `error`, as a filter of the machine's owner makes it: seccomp(2).
///
/// Returns 0, or -1 where no filter can be set.
int filter_deny_accept(int error);
