// What Swift's Glibc overlay lacks: GNU-only calls, ioctl's and fcntl's varargs, epoll and eventfd.
// Forwards without logic. No system header is included here, because Swift would then see its types twice: structs are
// passed by untyped pointers, and the constants are checked against the system's in cfin.c.
#ifndef CFIN_H
#define CFIN_H

#include <stdint.h>

#pragma clang assume_nonnull begin

int fin_errno(void);
void fin_set_errno(int value);
/// `EACCES` for 13; NULL for a number without a name.
const char *_Nullable fin_errno_name(int value);

/// `length` is a socklen_t, `address` a struct sockaddr.
int fin_accept4(int fd, void *_Nullable address, uint32_t *_Nullable length, int flags);
/// `fds` are struct pollfd; a negative number of seconds waits for ever.
int fin_ppoll(void *fds, uint64_t count, int64_t seconds, int64_t nanoseconds);
int fin_ioctl_int(int fd, uint64_t request, int *value);
int fin_fcntl_int(int fd, int command, int value);
/// flock, exclusive, without waiting. Swift sees a struct of that name.
int fin_try_lock(int fd);

/// memfd_create, close-on-exec and with seals allowed; never executable where the kernel knows that (6.3).
int fin_memory_file(const char *name);
/// F_ADD_SEALS: it never shrinks, and nobody adds a seal.
int fin_seal_size(int fd);
/// fallocate: the memory is taken now.
int fin_allocate(int fd, int64_t offset, int64_t size);
/// mmap, shared, for reading and writing, in no child and no core file; NULL when it fails.
void *_Nullable fin_map(int fd, uint64_t size);
int fin_unmap(void *address, uint64_t size);

int fin_eventfd(void);
int fin_epoll_create(void);
/// Adds `fd`, edge-triggered, for input, output and the peer's end.
int fin_epoll_watch(int poller, int fd);
int fin_epoll_unwatch(int poller, int fd);
/// Takes one event if there is one, without waiting.
int fin_epoll_take(int poller);

/// `struct epoll_event`, as the kernel lays it out.
struct fin_epoll_event {
  uint32_t events;
  uint64_t token;
}
#ifdef __x86_64__
__attribute__((packed))
#endif
;
/// Adds `fd` under a token of the caller's, edge-triggered, for everything that can happen to a socket.
int fin_epoll_add(int poller, int fd, uint64_t token);
/// `events` has room for `most` of `struct fin_epoll_event`; a negative time-out waits for ever.
int fin_epoll_wait(int poller, void *events, int most, int milliseconds);
static inline uint32_t fin_epoll_events(const void *events, int index) {
  return ((const struct fin_epoll_event *)events)[index].events;
}
static inline uint64_t fin_epoll_token(const void *events, int index) {
  return ((const struct fin_epoll_event *)events)[index].token;
}

/// The runtime's own name for the task that runs on this thread; NULL outside of tasks. `withUnsafeCurrentTask` gives the same, at
/// the price of a generic call. Without parameters, Swift's calling convention is C's.
void *_Nullable swift_task_getCurrent(void);

/// What the thread that calls has been marked with; NULL for a thread without a mark.
void *_Nullable fin_thread_mark(void);
void fin_set_thread_mark(void *_Nullable mark);
/// `pwritev2` with RWF_NOWAIT, where the file is; EOPNOTSUPP where it cannot tell whether it would wait.
long fin_write_at_once(int fd, const void *bytes, unsigned long count);

/// What this thread has still to wake, when it is waking somebody; NULL else.
void *_Nullable fin_thread_waking(void);
void fin_set_thread_waking(void *_Nullable waking);
/// Operations that this thread has counted since the last task there began its share, this one included.
int fin_count_operation(void);
/// A task begins its share of this thread.
void fin_begin_share(void);
/// The innermost of the loans that the thread that calls has given; NULL for none.
void *_Nullable fin_thread_loans(void);
void fin_set_thread_loans(void *_Nullable loans);
/// `pthread_setname_np` for the thread that calls; 15 characters.
void fin_name_thread(const char *name);
/// Processors that this process may run on: `sched_getaffinity`.
int fin_processors(void);

enum {
  FIN_SOCK_CLOEXEC = 02000000,
  FIN_SOCK_NONBLOCK = 04000,
  FIN_MSG_NOSIGNAL = 0x4000,
  FIN_MSG_DONTWAIT = 0x40,
  FIN_MSG_PEEK = 0x2,
  FIN_MSG_TRUNC = 0x20,
  FIN_MSG_ERRQUEUE = 0x2000,
  FIN_SIOCOUTQ = 0x5411,
  FIN_SIOCINQ = 0x541B,
  FIN_SIOCOUTQNSD = 0x894B,
  FIN_F_DUPFD_CLOEXEC = 1030,
  FIN_O_PATH = 010000000,
  FIN_SO_COOKIE = 57,
  FIN_IP_BIND_ADDRESS_NO_PORT = 24,
  FIN_IP_RECVERR = 11,
  FIN_IPV6_RECVERR = 25,
  FIN_IPPROTO_SCTP = 132,
  FIN_IPPROTO_MPTCP = 262,
  FIN_TCP_INFO = 11,
  FIN_TCP_USER_TIMEOUT = 18,
  FIN_TCP_NOTSENT_LOWAT = 25,
  FIN_EPOLLIN = 0x1,
  FIN_EPOLLPRI = 0x2,
  FIN_EPOLLOUT = 0x4,
  FIN_EPOLLERR = 0x8,
  FIN_EPOLLHUP = 0x10,
  FIN_EPOLLRDHUP = 0x2000,
};

// ---- What the laboratory of `fin` needs beside the library.
int fin_pipe(int *ends);
int fin_unshare(int flags);
int fin_set_parent_death_signal(int signal);
/// `environ`.
char *_Nullable *_Nonnull fin_environment(void);

// ---- What the doctor needs.
/// openat, with CLOEXEC; `flags` as for open.
int fin_open_at(int directory, const char *path, int flags);
/// statx of a descriptor, which may be of O_PATH, without asking whoever serves the file: the device of a regular file; 0 for any
/// other, or when it fails.
uint64_t fin_device_of_file(int fd);
int64_t fin_getdents(int directory, void *entries, uint64_t size);
/// setns, into a network namespace.
int fin_enter_network(int fd);
int64_t fin_getxattr(const char *path, const char *name, void *value, uint64_t size);
/// pidfd_open.
int fin_open_process(int pid);
/// pidfd_getfd: a copy of another process's descriptor. While it is open, that process's close ends nothing.
int fin_copy_descriptor(int process, int fd);
/// bpf: loads a program for an iterator of the kernel, by the type number of the iterator's function.
int fin_bpf_load(const uint64_t *program, uint32_t count, uint32_t function);
/// bpf: links a loaded program with its iterator.
int fin_bpf_link(int program);
/// bpf: begins; what the program writes is read from the descriptor.
int fin_bpf_iterate(int link);
/// A netlink socket of this protocol that gives up receiving after so many seconds.
int fin_netlink(int protocol, int seconds);
/// A netlink socket that does not wait and is told of every TCP socket that ends; the kernel keeps up to `room` bytes for it.
int fin_netlink_hear_ends(int room);
int64_t fin_netlink_send(int fd, const void *bytes, uint64_t count);
/// Receives one datagram; `sender` becomes the port it came from, 0 for the kernel; `cut` whether it did not fit.
int64_t fin_netlink_receive(int fd, void *bytes, uint64_t size, uint32_t *sender, int *cut);
enum {
  FIN_NETLINK_SOCK_DIAG = 4,
  FIN_O_DIRECTORY =
#ifdef __aarch64__
      040000,
#else
      0200000,
#endif
};

/// ptrace, without an address.
long fin_trace(int request, int process, unsigned long data);
/// prctl(PR_SET_CHILD_SUBREAPER): processes that descendants leave behind become ours.
int fin_adopt_orphans(void);

#pragma clang assume_nonnull end
#endif
