// Calls of the test support that Swift's Glibc overlay lacks: GNU extensions, ioctl's varargs, struct ifreq.
// Each is one call that returns -1 and sets errno as usual, without logic of its own; peers_number alone is a loop.
#ifndef CPEERS_H
#define CPEERS_H

#include <spawn.h>

#pragma clang assume_nonnull begin

// Moves the calling thread, and no other, into a new network namespace.
int peers_unshare_network(void);
// Moves the calling thread into the network namespace behind fd.
int peers_enter_network(int fd);
// Attaches the open /dev/net/tun descriptor to a device called `name`: IP packets without a header (IFF_NO_PI).
int peers_attach_tun(int fd, const char *name);
// ioctl SIOCGIFFLAGS: IFF_UP is 1, IFF_RUNNING 0x40. `socket` is any socket of the namespace.
int peers_link_flags(int socket, const char *name);
// environ(7)
char *_Nullable *_Nonnull peers_environment(void);
// A close-on-exec, non-blocking event counter.
int peers_eventfd(void);
// A close-on-exec pipe: ends[0] is for reading.
int peers_pipe(int *ends);
// Closes every descriptor from `first` on in the spawned program. A wrapper, because glibc declares the function only
// with _GNU_SOURCE.
int peers_spawn_close_from(posix_spawn_file_actions_t *actions, int first);
// accept4 with SOCK_CLOEXEC.
int peers_accept(int fd);
// pidfd_open: a descriptor that becomes readable when the process ends.
int peers_pidfd(int pid);
// fork, which Swift does not import: returns 0 in the child, which has only the calling thread.
int peers_fork(void);

/// The processor time of the calling thread, in nanoseconds.
long long peers_thread_time(void);
// The kernel's id of the calling thread.
int peers_gettid(void);

// Writes 0, 1, 2 … to an array of 32-bit numbers. Unoptimized Swift takes a hundred times as long.
void peers_number(unsigned int *numbers, unsigned long count);
// close_range with CLOSE_RANGE_UNSHARE and nothing to close: gives the calling thread its own descriptor table, which
// it shares with the threads that it starts.
int peers_unshare_descriptors(void);
// ioctl SIOCOUTQ: bytes (and a FIN) that the peer has not acknowledged; SIOCINQ: bytes received and not yet read.
int peers_outgoing_queue(int fd, int *bytes);
int peers_incoming_queue(int fd, int *bytes);

// Sends bytes from a netlink socket of this protocol to the port of another one.
int peers_netlink_send(int protocol, unsigned int port, const void *bytes, unsigned long count);

// Attaches a filter of one instruction to a socket, which takes every packet.
int peers_attach_filter(int fd);

// The same with a program of eBPF, which the kernel does not show. Returns -1 where this process may load none.
int peers_attach_extended_filter(int fd);

// Makes accept and accept4 fail with `code` in every thread of this process from now on, through a seccomp filter,
// which cannot be removed.
int peers_forbid_accept(int code);

// The conversations of many clients, as the clients saw them.
struct peers_storm {
  // Answered whole, up to the server's FIN.
  long served;
  // Refused by connect.
  long refused;
  // Connected, and then reset or ended without the whole answer.
  long reset;
  // Not connected for another reason.
  long failed;
};
// Runs clients that share no code with Fin, each in a thread and in a loop: connect, send a line, read the echo, until
// the server refuses it. `path` is a Unix path; without one they connect to the loopback port. Returns 0 or an errno.
int peers_storm(const char *_Nullable path, int port, int clients, int seconds, struct peers_storm *count);

#pragma clang assume_nonnull end
#endif
