// The few calls of the test rig that Swift's Glibc overlay lacks: GNU extensions, ioctl's varargs, struct ifreq.
// Each is one system call; -1 and errno as usual. No logic.
#ifndef CPEERS_H
#define CPEERS_H

#include <spawn.h>

#pragma clang assume_nonnull begin

// Gives the calling thread, and no other, a network namespace of its own.
int peers_unshare_network(void);
// Moves the calling thread into the network namespace behind fd.
int peers_enter_network(int fd);
// Makes the open /dev/net/tun descriptor the other end of a device called name: bare IP packets, no header.
int peers_attach_tun(int fd, const char *name);
// ioctl SIOCGIFFLAGS: IFF_UP is 1, IFF_RUNNING 0x40. Any socket of the namespace will do.
int peers_link_flags(int socket, const char *name);
// environ(7)
char *_Nullable *_Nonnull peers_environment(void);
// A close-on-exec, non-blocking event counter.
int peers_eventfd(void);
// A close-on-exec pipe: ends[0] is for reading.
int peers_pipe(int *ends);
// The program that is spawned has no descriptor from this one on. Not declared for whom does not ask for GNU's own.
int peers_spawn_close_from(posix_spawn_file_actions_t *actions, int first);
// accept4, close-on-exec from the first moment.
int peers_accept(int fd);
// A descriptor that becomes readable when the process ends.
int peers_pidfd(int pid);
// fork, which Swift does not import: 0 in the child, which has this one thread.
int peers_fork(void);

/// The processor time of the calling thread, in nanoseconds.
long long peers_thread_time(void);
// The kernel's number of the calling thread.
int peers_gettid(void);
// close_range with CLOSE_RANGE_UNSHARE and nothing to close: the calling thread gets a descriptor table of its own, and shares
// it with the threads that it starts.
int peers_unshare_descriptors(void);
// ioctl SIOCOUTQ: bytes (and a FIN) the peer has not acknowledged; SIOCINQ: bytes that wait to be read.
int peers_outgoing_queue(int fd, int *bytes);
int peers_incoming_queue(int fd, int *bytes);

// From now on accept and accept4 fail with `code` in every thread of this process: a seccomp filter, which nothing removes.
int peers_forbid_accept(int code);

#pragma clang assume_nonnull end
#endif
