// What Swift's Glibc overlay lacks: GNU-only calls, ioctl's varargs, macros, and structs that grow with the kernel.
// Declarations and one-line forwards; no logic.
#ifndef CFIN_H
#define CFIN_H

#define _GNU_SOURCE 1
#include <errno.h>
#include <netdb.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <linux/sockios.h>
#include <linux/tcp.h>

#pragma clang assume_nonnull begin

static inline int fin_errno(void) { return errno; }
static inline void fin_set_errno(int value) { errno = value; }

static inline int fin_accept4(int fd, struct sockaddr *_Nullable address, socklen_t *_Nullable length, int flags) {
  return accept4(fd, address, length, flags);
}
static inline int fin_ppoll(struct pollfd *fds, unsigned long count, const struct timespec *_Nullable timeout) {
  return ppoll(fds, (nfds_t)count, timeout, NULL);
}
static inline int fin_ioctl_int(int fd, unsigned long request, int *value) { return ioctl(fd, request, value); }
static inline int fin_fcntl_int(int fd, int command, int value) { return fcntl(fd, command, value); }

enum {
  FIN_SIOCOUTQ = SIOCOUTQ,
  FIN_SIOCINQ = SIOCINQ,
  FIN_SIOCOUTQNSD = SIOCOUTQNSD,
};

#pragma clang assume_nonnull end
#endif
