/* poller.pml: an event that arrives after its socket was closed.
 *
 * epoll_wait(2) has already returned an event for socket A when A is closed and socket B takes its slot (or
 * its number). Pick one design with -D:
 *   TOKEN_NUMBER           the event names the slot only
 *   TOKEN_GENERATION       the event names the slot and its generation, checked and delivered in one step
 *   TOKEN_GENERATION and CHECKED_BEFORE   the same, checked in one step and delivered in another
 *   TOKEN_NUMBER and HINT  the event is only a hint: B repeats its system call, and believes a hang-up only
 *                          when the system call reports it
 * P1  B never acts on a hang-up that was A's.
 * P2  B is still woken by its own event (no state in which it waits forever).
 */
#define NONE 0
#define A 1
#define B 2
#define IN 1
#define HUP 2

byte owner = A, generation = 1;
bool dataForB, sawHangUp, delivered;
chan ready = [2] of { byte, byte };            /* generation, events */

active proctype PeerOfA() { ready!1, HUP }

active proctype CloserAndOpener() {
  atomic { owner = NONE };                     /* A leaves epoll and is closed */
  atomic { owner = B; generation = 2 };        /* accept(2) returns the same number */
  dataForB = true;
  ready!2, IN
}

inline deliver() {
  if
  :: owner == B ->
#ifdef HINT
     if :: dataForB -> delivered = true :: else fi              /* else EAGAIN: goes on waiting */
#else
     if :: events == HUP -> sawHangUp = true :: events == IN && dataForB -> delivered = true :: else fi
#endif
  :: else
  fi
}

active proctype Loop() {
  byte token, events; bool stale;
end:
  do
  :: ready?token, events ->
     /* between epoll_wait(2) and here other processes may have run */
#ifdef TOKEN_GENERATION
# ifdef CHECKED_BEFORE
     atomic { stale = (token != generation || owner == NONE) };
     atomic { if :: !stale -> deliver() :: else fi };
# else
     atomic { stale = (token != generation || owner == NONE); if :: !stale -> deliver() :: else fi };
# endif
#else
     atomic { deliver() };
#endif
     assert(!sawHangUp)                                                    /* P1 */
  od
}

active proctype ReaderOfB() { delivered }                                  /* P2 */
