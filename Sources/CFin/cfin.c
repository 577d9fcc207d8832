#define _GNU_SOURCE 1
#include "cfin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <sys/uio.h>

_Static_assert(FIN_SOCK_CLOEXEC == SOCK_CLOEXEC && FIN_SOCK_NONBLOCK == SOCK_NONBLOCK, "socket flags");
_Static_assert(FIN_MSG_NOSIGNAL == MSG_NOSIGNAL && FIN_MSG_DONTWAIT == MSG_DONTWAIT, "message flags");
_Static_assert(FIN_MSG_MORE == MSG_MORE, "message flags");
_Static_assert(FIN_MSG_TRUNC == MSG_TRUNC && FIN_MSG_ERRQUEUE == MSG_ERRQUEUE, "message flags");
_Static_assert(FIN_MSG_CTRUNC == MSG_CTRUNC && FIN_MSG_CMSG_CLOEXEC == MSG_CMSG_CLOEXEC, "message flags");
_Static_assert(FIN_SCM_RIGHTS == SCM_RIGHTS && FIN_SCM_CREDENTIALS == SCM_CREDENTIALS, "control messages");
_Static_assert(FIN_SO_TIMESTAMP == SO_TIMESTAMP, "options");
_Static_assert(FIN_SIOCOUTQ == SIOCOUTQ && FIN_SIOCINQ == SIOCINQ && FIN_SIOCOUTQNSD == SIOCOUTQNSD, "queues");
_Static_assert(FIN_F_DUPFD_CLOEXEC == F_DUPFD_CLOEXEC && FIN_O_PATH == O_PATH, "files");
_Static_assert(FIN_F_SETPIPE_SZ == F_SETPIPE_SZ && FIN_F_GETPIPE_SZ == F_GETPIPE_SZ, "pipes");
_Static_assert(FIN_SO_DETACH_FILTER == SO_DETACH_FILTER && FIN_SO_GET_FILTER == SO_GET_FILTER, "options");
_Static_assert(FIN_SO_COOKIE == SO_COOKIE && FIN_IP_BIND_ADDRESS_NO_PORT == IP_BIND_ADDRESS_NO_PORT, "options");
_Static_assert(FIN_IP_RECVERR == IP_RECVERR && FIN_IPV6_RECVERR == IPV6_RECVERR, "options");
_Static_assert(FIN_MCAST_JOIN_GROUP == MCAST_JOIN_GROUP && FIN_MCAST_LEAVE_GROUP == MCAST_LEAVE_GROUP, "groups");
_Static_assert(FIN_MCAST_JOIN_SOURCE_GROUP == MCAST_JOIN_SOURCE_GROUP, "groups");
_Static_assert(FIN_MCAST_LEAVE_SOURCE_GROUP == MCAST_LEAVE_SOURCE_GROUP, "groups");
_Static_assert(FIN_IP_MULTICAST_IF == IP_MULTICAST_IF && FIN_IP_MULTICAST_TTL == IP_MULTICAST_TTL, "multicast");
_Static_assert(FIN_IP_MULTICAST_LOOP == IP_MULTICAST_LOOP && FIN_IP_MULTICAST_ALL == IP_MULTICAST_ALL, "multicast");
_Static_assert(FIN_IPV6_MULTICAST_IF == IPV6_MULTICAST_IF, "multicast");
_Static_assert(FIN_IPV6_MULTICAST_HOPS == IPV6_MULTICAST_HOPS, "multicast");
_Static_assert(FIN_IPV6_MULTICAST_LOOP == IPV6_MULTICAST_LOOP, "multicast");
_Static_assert(offsetof(struct group_req, gr_group) == 8 && sizeof(struct group_req) == 136, "group_req");
_Static_assert(offsetof(struct group_source_req, gsr_group) == 8, "group_source_req");
_Static_assert(offsetof(struct group_source_req, gsr_source) == 136, "group_source_req");
_Static_assert(sizeof(struct group_source_req) == 264 && sizeof(struct ip_mreqn) == 12, "group_source_req");
_Static_assert(FIN_IP_TOS == IP_TOS && FIN_IP_TTL == IP_TTL && FIN_IP_PKTINFO == IP_PKTINFO, "details");
_Static_assert(FIN_IP_RECVTTL == IP_RECVTTL && FIN_IP_RECVTOS == IP_RECVTOS, "details");
_Static_assert(FIN_IPV6_RECVPKTINFO == IPV6_RECVPKTINFO && FIN_IPV6_PKTINFO == IPV6_PKTINFO, "details");
_Static_assert(FIN_IPV6_RECVHOPLIMIT == IPV6_RECVHOPLIMIT && FIN_IPV6_HOPLIMIT == IPV6_HOPLIMIT, "details");
_Static_assert(FIN_IPV6_RECVTCLASS == IPV6_RECVTCLASS && FIN_IPV6_TCLASS == IPV6_TCLASS, "details");
_Static_assert(FIN_SO_TIMESTAMPNS == SO_TIMESTAMPNS && FIN_SO_RXQ_OVFL == SO_RXQ_OVFL, "details");
_Static_assert(sizeof(struct in_pktinfo) == 12 && offsetof(struct in_pktinfo, ipi_spec_dst) == 4, "in_pktinfo");
_Static_assert(sizeof(struct in6_pktinfo) == 20 && offsetof(struct in6_pktinfo, ipi6_ifindex) == 16, "in6_pktinfo");
_Static_assert(sizeof(struct mmsghdr) == 64 && offsetof(struct mmsghdr, msg_len) == 56, "mmsghdr");
_Static_assert(FIN_IPPROTO_SCTP == IPPROTO_SCTP && FIN_IPPROTO_MPTCP == IPPROTO_MPTCP, "protocols");
_Static_assert(FIN_TCP_INFO == TCP_INFO && FIN_TCP_USER_TIMEOUT == TCP_USER_TIMEOUT, "TCP options");
_Static_assert(FIN_TCP_NOTSENT_LOWAT == TCP_NOTSENT_LOWAT, "TCP options");

_Static_assert(FIN_EPOLLIN == EPOLLIN && FIN_EPOLLPRI == EPOLLPRI && FIN_EPOLLOUT == EPOLLOUT, "epoll");
_Static_assert(FIN_EPOLLERR == EPOLLERR && FIN_EPOLLHUP == EPOLLHUP && FIN_EPOLLRDHUP == EPOLLRDHUP, "epoll");
_Static_assert(FIN_POLLRDHUP == POLLRDHUP, "poll");
_Static_assert(sizeof(struct fin_epoll_event) == sizeof(struct epoll_event), "epoll_event");
_Static_assert(offsetof(struct fin_epoll_event, token) == offsetof(struct epoll_event, data), "epoll_event");

int fin_errno(void) { return errno; }
void fin_set_errno(int value) { errno = value; }
const char *fin_errno_name(int value) { return strerrorname_np(value); }

int fin_accept4(int fd, void *address, uint32_t *length, int flags) {
  return accept4(fd, (struct sockaddr *)address, (socklen_t *)length, flags);
}
int fin_ppoll(void *fds, uint64_t count, int64_t seconds, int64_t nanoseconds) {
  struct timespec time = {.tv_sec = seconds, .tv_nsec = nanoseconds};
  return ppoll((struct pollfd *)fds, (nfds_t)count, seconds < 0 ? NULL : &time, NULL);
}
int fin_receive_messages(int fd, void *messages, unsigned count, int flags) {
  return recvmmsg(fd, (struct mmsghdr *)messages, count, flags, NULL);
}
int fin_send_messages(int fd, void *messages, unsigned count, int flags) {
  return sendmmsg(fd, (struct mmsghdr *)messages, count, flags);
}
int fin_ioctl_int(int fd, uint64_t request, int *value) { return ioctl(fd, (unsigned long)request, value); }
// A signal handler may only call async-signal-safe functions and touch such variables.
static volatile sig_atomic_t signal_pipe = -1;
static volatile pid_t signal_owner;
static void write_signal(int number) {
  int code = errno;
  unsigned char byte = (unsigned char)number;
  if (getpid() == signal_owner) {
    ssize_t ignored = write(signal_pipe, &byte, 1);
    (void)ignored;
  } else {
    // A child after a fork: the signal is not the parent's.
    signal(number, SIG_DFL);
    raise(number);
  }
  errno = code;
}
int fin_hear_signal(int number, int fd) {
  struct sigaction action = {.sa_handler = write_signal, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  signal_pipe = fd;
  signal_owner = getpid();
  return sigaction(number, &action, NULL) == 0 ? 0 : errno;
}
void fin_unhear_signal(int number) { signal(number, SIG_DFL); }
int fin_signal_pipe(int *ends) {
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  return fcntl(ends[1], F_SETFL, O_NONBLOCK);
}
// The terminal that faults restore. It is set before the handlers are.
static int guarded_terminal = -1;
static struct termios guarded_settings;
static char guarded_bytes[128];
static size_t guarded_count;
static pid_t guarded_owner;
static const int faults[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGQUIT};
enum { fault_count = sizeof faults / sizeof faults[0] };
static struct sigaction actions_before[fault_count];
static void restore_terminal(int number) {
  int code = errno;
  if (getpid() == guarded_owner && guarded_terminal >= 0) {
    ssize_t ignored = write(guarded_terminal, guarded_bytes, guarded_count);
    (void)ignored;
    tcsetattr(guarded_terminal, TCSANOW, &guarded_settings);
  }
  for (int i = 0; i < fault_count; i++) {
    if (faults[i] == number) sigaction(number, &actions_before[i], NULL);
  }
  // Delivered when this handler returns: then the process ends as it would have ended without it.
  raise(number);
  errno = code;
}
int fin_guard_terminal(int fd, const void *settings, const void *bytes, uint64_t count) {
  if (count > sizeof guarded_bytes) return EINVAL;
  memcpy(&guarded_settings, settings, sizeof guarded_settings);
  memcpy(guarded_bytes, bytes, count);
  guarded_count = count;
  guarded_owner = getpid();
  guarded_terminal = fd;
  struct sigaction action = {.sa_handler = restore_terminal};
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < fault_count; i++) {
    if (sigaction(faults[i], &action, &actions_before[i]) != 0) return errno;
  }
  return 0;
}
void fin_unguard_terminal(void) {
  for (int i = 0; guarded_terminal >= 0 && i < fault_count; i++) sigaction(faults[i], &actions_before[i], NULL);
  guarded_terminal = -1;
}
int fin_drop_new_handshakes(int fd) {
  // The first byte of a segment is that of its TCP header, whose byte 13 has the flags: SYN is 0x02, ACK 0x10.
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
  };
  struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}
int fin_fcntl_int(int fd, int command, int value) { return fcntl(fd, command, value); }

int fin_try_lock(int fd) { return flock(fd, LOCK_EX | LOCK_NB); }

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
int fin_memory_file(const char *name) {
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  return fd < 0 && errno == EINVAL ? memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING) : fd;
}
int fin_seal_size(int fd) { return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL); }
int fin_allocate(int fd, int64_t offset, int64_t size) { return fallocate(fd, 0, offset, size); }
void *fin_map(int fd, uint64_t size) {
  void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return NULL;
  madvise(address, size, MADV_DONTFORK);
  madvise(address, size, MADV_DONTDUMP);
  return address;
}
int fin_unmap(void *address, uint64_t size) { return munmap(address, size); }

int fin_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
int fin_nonblocking_pipe(int *ends) { return pipe2(ends, O_CLOEXEC | O_NONBLOCK); }
long fin_splice(int from, int to, unsigned long count) {
  return splice(from, NULL, to, NULL, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}
int fin_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
int fin_epoll_watch(int poller, int fd) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
  return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}
int fin_epoll_unwatch(int poller, int fd) { return epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL); }
int fin_epoll_add(int poller, int fd, uint64_t token) {
  struct epoll_event event = {
      .events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = token};
  return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}
int fin_epoll_add_input(int poller, int fd, uint64_t token) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET, .data.u64 = token};
  return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}
int fin_epoll_wait(int poller, void *events, int most, int milliseconds) {
#ifdef SYS_epoll_wait
  return (int)syscall(SYS_epoll_wait, poller, events, most, milliseconds);
#else
  return (int)syscall(SYS_epoll_pwait, poller, events, most, milliseconds, NULL, (size_t)0);
#endif
}
int fin_epoll_take(int poller) {
  struct epoll_event events[FIN_EDGES];
  return epoll_wait(poller, events, FIN_EDGES, 0);
}

int64_t fin_recv(int fd, void *bytes, uint64_t count, int flags) {
  return syscall(SYS_recvfrom, fd, bytes, count, flags, NULL, NULL);
}
int64_t fin_send(int fd, const void *bytes, uint64_t count, int flags) {
  return syscall(SYS_sendto, fd, bytes, count, flags, NULL, (size_t)0);
}

int64_t fin_file_send(int socket, int file, int64_t position, uint64_t count) {
  off_t from = position;
  return sendfile(socket, file, &from, count);
}

static _Thread_local void *thread_mark;
void *fin_thread_mark(void) { return thread_mark; }
void fin_set_thread_mark(void *mark) { thread_mark = mark; }
long fin_write_at_once(int fd, const void *bytes, unsigned long count) {
  struct iovec one = {.iov_base = (void *)bytes, .iov_len = count};
  return pwritev2(fd, &one, 1, -1, RWF_NOWAIT);
}
static _Thread_local void *thread_waking;
void *fin_thread_waking(void) { return thread_waking; }
void fin_set_thread_waking(void *waking) { thread_waking = waking; }
static _Thread_local int thread_operations;
int fin_count_operation(void) { return ++thread_operations; }
void fin_begin_share(void) { thread_operations = 0; }

static _Thread_local void *thread_loans;
void *fin_thread_loans(void) { return thread_loans; }
void fin_set_thread_loans(void *loans) { thread_loans = loans; }

void fin_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
int fin_processors(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// ---- For the laboratory of `fin`, in addition to the library's.
#include <sys/prctl.h>
#include <unistd.h>

int fin_pipe(int *ends) { return pipe2(ends, O_CLOEXEC); }
int fin_unshare(int flags) { return unshare(flags); }
int fin_set_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }
char **fin_environment(void) { return environ; }

// ---- For the doctor.
#include <dirent.h>
#include <linux/netlink.h>
#include <sys/xattr.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <linux/capability.h>

_Static_assert(FIN_NETLINK_SOCK_DIAG == NETLINK_SOCK_DIAG && FIN_O_DIRECTORY == O_DIRECTORY, "the doctor");

int fin_open_at(int directory, const char *path, int flags) { return openat(directory, path, flags | O_CLOEXEC); }
uint64_t fin_device_of_file(int fd) {
  struct statx status;
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) != 0) return 0;
  if ((status.stx_mode & S_IFMT) != S_IFREG) return 0;
  return (uint64_t)status.stx_dev_major << 32 | status.stx_dev_minor;
}
int64_t fin_getdents(int directory, void *entries, uint64_t size) { return getdents64(directory, entries, size); }
int fin_enter_network(int fd) { return setns(fd, CLONE_NEWNET); }
int fin_open_process(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
int fin_copy_descriptor(int process, int fd) { return (int)syscall(SYS_pidfd_getfd, process, fd, 0); }
// The layouts are those of `union bpf_attr` in linux/bpf.h, written out here because the header of an older system
// lacks parts of it.
int fin_bpf_load(const uint64_t *program, uint32_t count, uint32_t function) {
  struct {
    uint32_t type, count;
    uint64_t program, license;
    uint32_t log[6];
    char name[16];
    uint32_t interface, attach_type;
    uint32_t debug[9];
    uint32_t function;
  } what = {.type = 26 /* BPF_PROG_TYPE_TRACING */,
            .count = count,
            .program = (uintptr_t)program,
            .license = (uintptr_t) "Dual MIT/GPL",
            .name = "fin_open_files",
            .attach_type = 28 /* BPF_TRACE_ITER */,
            .function = function};
  _Static_assert(offsetof(__typeof__(what), name) == 48 && offsetof(__typeof__(what), attach_type) == 68 &&
                     offsetof(__typeof__(what), function) == 108,
                 "as in union bpf_attr");
  return (int)syscall(SYS_bpf, 5 /* BPF_PROG_LOAD */, &what, sizeof what);
}
int fin_bpf_link(int program) {
  struct {
    uint32_t program, target, attach_type, flags;
  } what = {.program = (uint32_t)program, .attach_type = 28 /* BPF_TRACE_ITER */};
  return (int)syscall(SYS_bpf, 28 /* BPF_LINK_CREATE */, &what, sizeof what);
}
int fin_bpf_iterate(int link) {
  struct {
    uint32_t link, flags;
  } what = {.link = (uint32_t)link};
  return (int)syscall(SYS_bpf, 33 /* BPF_ITER_CREATE */, &what, sizeof what);
}
int64_t fin_getxattr(const char *path, const char *name, void *value, uint64_t size) {
  return getxattr(path, name, value, size);
}
int fin_netlink(int protocol, int seconds) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  struct timeval limit = {.tv_sec = seconds};
  // Once it is connected to the kernel, the kernel refuses what other programs send to it.
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (fd < 0) return fd;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (connect(fd, (struct sockaddr *)&kernel, sizeof kernel) == 0) return fd;
  int code = errno;
  close(fd);
  errno = code;
  return -1;
}
int fin_netlink_hear_ends(int room) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, FIN_NETLINK_SOCK_DIAG);
  // SKNLGRP_INET_TCP_DESTROY and SKNLGRP_INET6_TCP_DESTROY of linux/sock_diag.h, as bits.
  struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_groups = 1 | 4};
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (fd < 0) return fd;
  // Above net.core.rmem_max if the process has CAP_NET_ADMIN; otherwise up to that limit.
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (bind(fd, (struct sockaddr *)&own, sizeof own) == 0 &&
      connect(fd, (struct sockaddr *)&kernel, sizeof kernel) == 0)
    return fd;
  int code = errno;
  close(fd);
  errno = code;
  return -1;
}
int64_t fin_netlink_send(int fd, const void *bytes, uint64_t count) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  return sendto(fd, bytes, count, 0, (struct sockaddr *)&kernel, sizeof kernel);
}
int64_t fin_netlink_receive(int fd, void *bytes, uint64_t size, uint32_t *sender, int *cut) {
  struct sockaddr_nl from = {0};
  struct iovec room = {.iov_base = bytes, .iov_len = size};
  struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &room, .msg_iovlen = 1};
  int64_t count = recvmsg(fd, &message, 0);
  *sender = from.nl_pid;
  *cut = (message.msg_flags & MSG_TRUNC) != 0;
  return count;
}

int fin_fork(void) { return (int)fork(); }
int fin_packet_pair(int *ends) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends); }
int64_t fin_send_packet(int fd, const void *head, uint64_t head_size, const void *bytes, uint64_t count,
                        int descriptor, int flags) {
  union {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
  } control = {{0}};
  struct iovec parts[2] = {{(void *)head, head_size}, {(void *)bytes, count}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  if (descriptor >= 0) {
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *first = CMSG_FIRSTHDR(&message);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(first), &descriptor, sizeof(int));
  }
  return sendmsg(fd, &message, flags | MSG_NOSIGNAL);
}
int64_t fin_receive_packet(int fd, void *bytes, uint64_t size, int *descriptor, int flags) {
  union {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
  } control;
  struct iovec part = {bytes, size};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  *descriptor = -1;
  int64_t count = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
  struct cmsghdr *first = count < 0 ? NULL : CMSG_FIRSTHDR(&message);
  if (first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS)
    memcpy(descriptor, CMSG_DATA(first), sizeof(int));
  else if (count >= 0 && message.msg_flags & MSG_CTRUNC)
    *descriptor = -2;
  return count;
}
int fin_close_from(int first) { return (int)syscall(SYS_close_range, first, ~0u, 0); }
int fin_thread_number(void) { return (int)syscall(SYS_gettid); }
int fin_keep_capabilities(uint64_t kept) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2];
  if (syscall(SYS_capget, &head, sets) != 0) return -1;
  for (int half = 0; half < 2; half++) {
    uint32_t mask = (uint32_t)(kept >> (32 * half));
    sets[half].effective &= mask;
    sets[half].permitted &= mask;
    sets[half].inheritable = 0;
  }
  return (int)syscall(SYS_capset, &head, sets);
}

long fin_trace(int request, int process, unsigned long data) {
  return ptrace((enum __ptrace_request)request, process, (void *)0, (void *)data);
}

int fin_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
