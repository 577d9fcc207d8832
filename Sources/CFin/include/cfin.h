// Calls that Swift's Glibc overlay lacks: GNU-only calls, the varargs of ioctl and fcntl, epoll and eventfd. They are
// thin wrappers, but for the signal handler that restores a terminal: it may call only what signal-safety(7) lists,
// which Swift's runtime does not promise. No system header is included here, because Swift would then see its types
// twice: structs are passed by untyped pointers, and the constants are checked against the system's in cfin.c.
#ifndef CFIN_H
#define CFIN_H

#include <stdint.h>

#pragma clang assume_nonnull begin

int fin_errno(void);
void fin_set_errno(int value);
/// The symbolic name, `EACCES` for 13; NULL for a number without a name.
const char *_Nullable fin_errno_name(int value);

/// `length` is a socklen_t, `address` a struct sockaddr.
int fin_accept4(int fd, void *_Nullable address, uint32_t *_Nullable length, int flags);
/// `fds` are struct pollfd; a negative number of seconds waits without a timeout.
int fin_ppoll(void *fds, uint64_t count, int64_t seconds, int64_t nanoseconds);
int fin_ioctl_int(int fd, uint64_t request, int *value);
/// recvmmsg and sendmmsg without a timeout. `messages` are struct mmsghdr: a struct msghdr, and at byte 56 the length of
/// the message, 64 bytes in all.
int fin_receive_messages(int fd, void *messages, unsigned count, int flags);
int fin_send_messages(int fd, void *messages, unsigned count, int flags);
int fin_fcntl_int(int fd, int command, int value);
/// SO_ATTACH_FILTER on a TCP socket: the kernel drops each segment with SYN and without ACK, as if it had been lost.
int fin_drop_new_handshakes(int fd);
/// flock, exclusive and non-blocking. It has its own name because Swift sees a struct called flock.
int fin_try_lock(int fd);

/// memfd_create, close-on-exec and with seals allowed; never executable if the kernel supports that (6.3).
int fin_memory_file(const char *name);
/// F_ADD_SEALS: the file never shrinks, and no further seal can be added.
int fin_seal_size(int fd);
/// fallocate: allocates the memory at once.
int fin_allocate(int fd, int64_t offset, int64_t size);
/// mmap, shared, for reading and writing, excluded from child processes and core files; NULL when it fails.
void *_Nullable fin_map(int fd, uint64_t size);
int fin_unmap(void *address, uint64_t size);

/// Has `signal` written to the pipe `fd`, one byte for each, instead of what it would do. Returns 0 or an errno.
int fin_hear_signal(int signal, int fd);
/// Gives the signal its default action again.
void fin_unhear_signal(int signal);
/// pipe2, close-on-exec; the writing end does not block.
int fin_signal_pipe(int *ends);

/// pipe2, close-on-exec and non-blocking at both ends.
int fin_nonblocking_pipe(int *ends);
/// splice into or out of a pipe, at the files' own positions. It never waits for the pipe; if it waits for a socket
/// is a matter of the socket's own O_NONBLOCK.
long fin_splice(int from, int to, unsigned long count);

int fin_eventfd(void);
int fin_epoll_create(void);
/// Adds `fd`, edge-triggered, for input, output and the peer's half-close (EPOLLRDHUP).
int fin_epoll_watch(int poller, int fd);
int fin_epoll_unwatch(int poller, int fd);
/// Takes up to FIN_EDGES events, without waiting; returns their number.
enum { FIN_EDGES = 8 };
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
/// Adds `fd` under a token of the caller, edge-triggered, for every event that a socket can have.
int fin_epoll_add(int poller, int fd, uint64_t token);
/// Adds `fd` under a token of the caller, edge-triggered, for input, the peer's half-close and errors; not for output.
int fin_epoll_add_input(int poller, int fd, uint64_t token);
/// `events` has room for `most` of `struct fin_epoll_event`; a negative number of milliseconds waits without a timeout.
int fin_epoll_wait(int poller, void *events, int most, int milliseconds);
static inline uint32_t fin_epoll_events(const void *events, int index) {
  return ((const struct fin_epoll_event *)events)[index].events;
}
static inline uint64_t fin_epoll_token(const void *events, int index) {
  return ((const struct fin_epoll_event *)events)[index].token;
}

/// recv, without the point of cancellation that the C library puts around it: Fin cancels no thread.
int64_t fin_recv(int fd, void *_Nullable bytes, uint64_t count, int flags);
/// send, without the point of cancellation.
int64_t fin_send(int fd, const void *_Nullable bytes, uint64_t count, int flags);

/// sendfile from a position of the file, which its own position is not.
int64_t fin_file_send(int socket, int file, int64_t position, uint64_t count);

/// The runtime's own identity of the task that runs on this thread; NULL outside of tasks. `withUnsafeCurrentTask`
/// returns the same at the cost of a generic call. Without parameters, Swift's calling convention is C's.
void *_Nullable swift_task_getCurrent(void);
/// Whether a task is cancelled, which `Task.isCancelled` answers with a retain and a release of the task beside it. For
/// one pointer and a truth value, Swift's calling convention is C's too.
_Bool swift_task_isCancelled(void *task);

/// The mark of the calling thread, which is the event loop that it runs; NULL for a thread without one.
void *_Nullable fin_thread_mark(void);
void fin_set_thread_mark(void *_Nullable mark);
/// `pwritev2` with RWF_NOWAIT, at the file's own position; EOPNOTSUPP if the file cannot tell whether it would wait.
long fin_write_at_once(int fd, const void *bytes, unsigned long count);

/// The list of waiters that the calling thread still has to wake, while it is waking one; otherwise NULL.
void *_Nullable fin_thread_waking(void);
void fin_set_thread_waking(void *_Nullable waking);
/// Counts an operation and returns the number since the last task on this thread began its share, this one included.
int fin_count_operation(void);
/// Begins a task's share of this thread: the count starts again from 0.
void fin_begin_share(void);
/// The innermost descriptor loan that is active on the calling thread; NULL for none.
void *_Nullable fin_thread_loans(void);
void fin_set_thread_loans(void *_Nullable loans);
/// `pthread_setname_np` for the calling thread; at most 15 characters.
void fin_name_thread(const char *name);
/// The number of processors that the calling thread may run on: `sched_getaffinity`.
int fin_processors(void);

enum {
  FIN_SOCK_CLOEXEC = 02000000,
  FIN_SOCK_NONBLOCK = 04000,
  FIN_MSG_NOSIGNAL = 0x4000,
  FIN_MSG_DONTWAIT = 0x40,
  FIN_MSG_MORE = 0x8000,
  FIN_MSG_PEEK = 0x2,
  FIN_MSG_TRUNC = 0x20,
  FIN_MSG_CTRUNC = 0x8,
  FIN_MSG_CMSG_CLOEXEC = 0x40000000,
  FIN_SCM_RIGHTS = 1,
  FIN_SCM_CREDENTIALS = 2,
  FIN_SCM_PIDFD = 4,
  FIN_SO_PEERPIDFD = 77,
  FIN_SO_TIMESTAMP = 29,
  FIN_MSG_ERRQUEUE = 0x2000,
  FIN_SIOCOUTQ = 0x5411,
  FIN_SIOCINQ = 0x541B,
  FIN_SIOCOUTQNSD = 0x894B,
  FIN_F_DUPFD_CLOEXEC = 1030,
  FIN_F_SETPIPE_SZ = 1031,
  FIN_F_GETPIPE_SZ = 1032,
  FIN_O_PATH = 010000000,
  FIN_SO_COOKIE = 57,
  FIN_SO_DETACH_FILTER = 27,
  FIN_SO_GET_FILTER = 26,
  FIN_IP_BIND_ADDRESS_NO_PORT = 24,
  FIN_IP_LOCAL_PORT_RANGE = 51,
  FIN_IP_TOS = 1,
  FIN_IP_TTL = 2,
  FIN_IP_PKTINFO = 8,
  FIN_IP_RECVTTL = 12,
  FIN_IP_RECVTOS = 13,
  FIN_IPV6_RECVPKTINFO = 49,
  FIN_IPV6_PKTINFO = 50,
  FIN_IPV6_RECVHOPLIMIT = 51,
  FIN_IPV6_HOPLIMIT = 52,
  FIN_IPV6_RECVTCLASS = 66,
  FIN_IPV6_TCLASS = 67,
  FIN_SO_TIMESTAMPNS = 35,
  FIN_SO_RXQ_OVFL = 40,
  FIN_IP_RECVERR = 11,
  FIN_IPV6_RECVERR = 25,
  FIN_MCAST_JOIN_GROUP = 42,
  FIN_MCAST_LEAVE_GROUP = 45,
  FIN_MCAST_JOIN_SOURCE_GROUP = 46,
  FIN_MCAST_LEAVE_SOURCE_GROUP = 47,
  FIN_IP_MULTICAST_IF = 32,
  FIN_IP_MULTICAST_TTL = 33,
  FIN_IP_MULTICAST_LOOP = 34,
  FIN_IP_MULTICAST_ALL = 49,
  FIN_IPV6_MULTICAST_IF = 17,
  FIN_IPV6_MULTICAST_HOPS = 18,
  FIN_IPV6_MULTICAST_LOOP = 19,
  FIN_IPV6_MULTICAST_ALL = 29,
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
  FIN_POLLRDHUP = 0x2000,
};

// ---- For the laboratory and the commands of `fin`, in addition to the library's.
int fin_pipe(int *ends);
int fin_unshare(int flags);
int fin_set_parent_death_signal(int signal);
/// When a fault or an abort is about to end this process, `bytes` are written to the terminal `fd`, and its settings
/// become `settings`, a struct termios. Both are copied; there may be 128 bytes. Returns 0 or an errno.
int fin_guard_terminal(int fd, const void *settings, const void *bytes, uint64_t count);
void fin_unguard_terminal(void);
/// `environ`.
char *_Nullable *_Nonnull fin_environment(void);

// ---- For the doctor.
/// openat, with CLOEXEC; `flags` as for open.
int fin_open_at(int directory, const char *path, int flags);
/// statx of a descriptor, which may be of O_PATH, without a request to the file's server: the device of a regular file;
/// 0 for any other file, or when it fails.
uint64_t fin_device_of_file(int fd);
int64_t fin_getdents(int directory, void *entries, uint64_t size);
/// setns, into a network namespace.
int fin_enter_network(int fd);
int64_t fin_getxattr(const char *path, const char *name, void *value, uint64_t size);
/// pidfd_open: a descriptor that stands for the process.
int fin_open_process(int pid);
/// pidfd_getfd: a copy of another process's descriptor. While it is open, that process's close ends nothing.
int fin_copy_descriptor(int process, int fd);
/// bpf: loads a BPF program for an iterator of the kernel, given by the BTF type number of the iterator's function.
int fin_bpf_load(const uint64_t *program, uint32_t count, uint32_t function);
/// bpf: links a loaded BPF program to its iterator.
int fin_bpf_link(int program);
/// bpf: starts the iterator; the BPF program's output is read from the returned descriptor.
int fin_bpf_iterate(int link);
/// A netlink socket of this protocol whose receive timeout is this number of seconds.
int fin_netlink(int protocol, int seconds);
/// A non-blocking netlink socket that receives a message for every TCP socket that is destroyed; the kernel buffers up
/// to `room` bytes.
int fin_netlink_hear_ends(int room);
int64_t fin_netlink_send(int fd, const void *bytes, uint64_t count);
/// Receives one datagram. `sender` is set to the port it came from, 0 for the kernel; `cut` to whether it was cut.
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

/// fork, which Swift does not import: returns 0 in the child, which has only the calling thread.
int fin_fork(void);
/// A pair of connected Unix sockets that keep the bounds of packets (SOCK_SEQPACKET), close-on-exec.
int fin_packet_pair(int *ends);
/// Sends a head and bytes as one packet, with a copy of `descriptor` unless it is negative; `flags` as for sendmsg.
int64_t fin_send_packet(int fd, const void *head, uint64_t head_size, const void *_Nullable bytes, uint64_t count,
                        int descriptor, int flags);
/// Receives a packet, and in `descriptor` the one that was sent with it: -1 if none was, and -2 if this process has no
/// room for it, so that the kernel dropped it; `flags` as for recvmsg.
int64_t fin_receive_packet(int fd, void *bytes, uint64_t size, int *descriptor, int flags);
/// close_range: closes every descriptor from `first` on.
int fin_close_from(int first);
/// The kernel's number of the calling thread.
int fin_thread_number(void);
/// capset: gives up every capability that is not in `kept`, a bit for each by its number.
int fin_keep_capabilities(uint64_t kept);

/// ptrace, without an address.
long fin_trace(int request, int process, unsigned long data);
/// prctl(PR_SET_CHILD_SUBREAPER): this process becomes the parent of orphaned descendants.
int fin_adopt_orphans(void);

#pragma clang assume_nonnull end
#endif
