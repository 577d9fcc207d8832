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

int fin_eventfd(void);
int fin_epoll_create(void);
/// Adds `fd`, edge-triggered, for input, output and the peer's end.
int fin_epoll_watch(int poller, int fd);
int fin_epoll_unwatch(int poller, int fd);
/// Takes one event if there is one, without waiting.
int fin_epoll_take(int poller);

enum {
  FIN_SOCK_CLOEXEC = 02000000,
  FIN_SOCK_NONBLOCK = 04000,
  FIN_MSG_NOSIGNAL = 0x4000,
  FIN_MSG_DONTWAIT = 0x40,
  FIN_MSG_TRUNC = 0x20,
  FIN_SIOCOUTQ = 0x5411,
  FIN_SIOCINQ = 0x541B,
  FIN_SIOCOUTQNSD = 0x894B,
  FIN_F_DUPFD_CLOEXEC = 1030,
  FIN_O_PATH = 010000000,
  FIN_SO_COOKIE = 57,
  FIN_IP_BIND_ADDRESS_NO_PORT = 24,
  FIN_TCP_INFO = 11,
  FIN_TCP_USER_TIMEOUT = 18,
  FIN_TCP_NOTSENT_LOWAT = 25,
};

// ---- What the laboratory of `fin` needs beside the library.
int fin_pipe(int *ends);
int fin_unshare(int flags);
int fin_set_parent_death_signal(int signal);
/// `environ`.
char *_Nullable *_Nonnull fin_environment(void);

#pragma clang assume_nonnull end
#endif
