#include "csqlite.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/auxv.h>

// The functions, as sqlite3.h and zlib.h declare them; `sqlite3 *` and `sqlite3_stmt *` are untyped here. They are weak:
// NULL, unless the program was linked with the libraries, as Packaging/build does.
#define SQLITE(F)                                                                                     \
  F(int, sqlite3_open_v2, (const char *file, void **database, int flags, const char *vfs))           \
  F(int, sqlite3_close_v2, (void *database))                                                         \
  F(int, sqlite3_exec, (void *database, const char *text, void *row, void *argument, char **error))  \
  F(int, sqlite3_prepare_v2, (void *database, const char *text, int count, void **made, const char **rest)) \
  F(int, sqlite3_step, (void *statement))                                                            \
  F(int, sqlite3_reset, (void *statement))                                                           \
  F(int, sqlite3_finalize, (void *statement))                                                        \
  F(int, sqlite3_bind_int64, (void *statement, int place, long long value))                          \
  F(int, sqlite3_bind_null, (void *statement, int place))                                            \
  F(int, sqlite3_bind_text, (void *statement, int place, const char *bytes, int count, void (*end)(void *))) \
  F(int, sqlite3_bind_blob, (void *statement, int place, const void *bytes, int count, void (*end)(void *))) \
  F(int, sqlite3_column_type, (void *statement, int column))                                         \
  F(long long, sqlite3_column_int64, (void *statement, int column))                                  \
  F(const void *, sqlite3_column_blob, (void *statement, int column))                                \
  F(int, sqlite3_column_bytes, (void *statement, int column))                                        \
  F(long long, sqlite3_last_insert_rowid, (void *database))                                          \
  F(int, sqlite3_extended_errcode, (void *database))                                                 \
  F(const char *, sqlite3_errmsg, (void *database))                                                  \
  F(const char *, sqlite3_errstr, (int code))                                                        \
  F(int, sqlite3_busy_timeout, (void *database, int milliseconds))
#define ZLIB(F)                                                                                       \
  F(unsigned long, compressBound, (unsigned long count))                                             \
  F(int, compress2, (unsigned char *, unsigned long *, const unsigned char *, unsigned long, int))   \
  F(int, uncompress, (unsigned char *, unsigned long *, const unsigned char *, unsigned long))

#define DECLARE(result, name, parameters) extern result name parameters __attribute__((weak));
SQLITE(DECLARE)
ZLIB(DECLARE)

#define MEMBER(result, name, parameters) result(*name) parameters;
static struct {
  SQLITE(MEMBER)
  ZLIB(MEMBER)
} table;

// A program without a loader has no business with shared libraries: they would bring a second C library with them, of
// whatever version the machine has.
static int has_loader(void) {
  const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
  unsigned long count = getauxval(AT_PHNUM);
  for (unsigned long place = 0; headers && place < count; place++) {
    if (headers[place].p_type == PT_INTERP) return 1;
  }
  return 0;
}

#define COPY(result, function, parameters) table.function = function;
#define FIND(result, function, parameters) \
  *(void **)&table.function = dlsym(library, #function); \
  if (!table.function) return "it is too old: it lacks " #function;

static const char *find_sqlite(void) {
  if (sqlite3_open_v2) {
    SQLITE(COPY)
    return NULL;
  }
  if (!has_loader()) return "this program is static and was built without it: build it where libsqlite3.a is installed";
  void *library = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) return "the library libsqlite3.so.0 is not installed: apt-get install libsqlite3-0, or dnf install sqlite-libs";
  SQLITE(FIND)
  return NULL;
}

static const char *find_zlib(void) {
  if (compress2) {
    ZLIB(COPY)
    return NULL;
  }
  if (!has_loader()) return "this program is static and was built without it: build it where libz.a is installed";
  void *library = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return "the library libz.so.1 is not installed: apt-get install zlib1g, or dnf install zlib";
  ZLIB(FIND)
  return NULL;
}

static pthread_once_t sqlite_once = PTHREAD_ONCE_INIT, zlib_once = PTHREAD_ONCE_INIT;
static const char *sqlite_problem, *zlib_problem;
static void load_sqlite(void) { sqlite_problem = find_sqlite(); }
static void load_zlib(void) { zlib_problem = find_zlib(); }

const char *fin_sqlite_load(void) {
  pthread_once(&sqlite_once, load_sqlite);
  return sqlite_problem;
}
const char *fin_zlib_load(void) {
  pthread_once(&zlib_once, load_zlib);
  return zlib_problem;
}
int fin_sqlite_is_linked(void) { return sqlite3_open_v2 != NULL; }

int fin_sqlite_open(const char *file, void **database, int flags) {
  return table.sqlite3_open_v2(file, database, flags, NULL);
}
int fin_sqlite_close(void *database) { return table.sqlite3_close_v2(database); }
int fin_sqlite_exec(void *database, const char *text) {
  return table.sqlite3_exec(database, text, NULL, NULL, NULL);
}
int fin_sqlite_prepare(void *database, const char *text, void **statement) {
  return table.sqlite3_prepare_v2(database, text, -1, statement, NULL);
}
int fin_sqlite_step(void *statement) { return table.sqlite3_step(statement); }
int fin_sqlite_reset(void *statement) { return table.sqlite3_reset(statement); }
int fin_sqlite_finalize(void *statement) { return table.sqlite3_finalize(statement); }
int fin_sqlite_bind_int64(void *statement, int place, int64_t value) {
  return table.sqlite3_bind_int64(statement, place, value);
}
int fin_sqlite_bind_null(void *statement, int place) { return table.sqlite3_bind_null(statement, place); }
// SQLITE_TRANSIENT: the library copies the bytes.
int fin_sqlite_bind_text(void *statement, int place, const char *bytes, int count) {
  return table.sqlite3_bind_text(statement, place, bytes, count, (void (*)(void *))-1);
}
int fin_sqlite_bind_blob(void *statement, int place, const void *bytes, int count) {
  return table.sqlite3_bind_blob(statement, place, bytes, count, (void (*)(void *))-1);
}
int fin_sqlite_column_type(void *statement, int column) { return table.sqlite3_column_type(statement, column); }
int64_t fin_sqlite_column_int64(void *statement, int column) { return table.sqlite3_column_int64(statement, column); }
const void *fin_sqlite_column_blob(void *statement, int column) { return table.sqlite3_column_blob(statement, column); }
int fin_sqlite_column_bytes(void *statement, int column) { return table.sqlite3_column_bytes(statement, column); }
int64_t fin_sqlite_last_insert_rowid(void *database) { return table.sqlite3_last_insert_rowid(database); }
int fin_sqlite_extended_errcode(void *database) { return table.sqlite3_extended_errcode(database); }
const char *fin_sqlite_errmsg(void *database) { return table.sqlite3_errmsg(database); }
const char *fin_sqlite_errstr(int code) { return table.sqlite3_errstr(code); }
int fin_sqlite_busy_timeout(void *database, int milliseconds) {
  return table.sqlite3_busy_timeout(database, milliseconds);
}

uint64_t fin_zlib_bound(uint64_t count) { return table.compressBound(count); }
int fin_zlib_compress(void *target, uint64_t *room, const void *source, uint64_t count, int level) {
  unsigned long length = *room;
  int result = table.compress2(target, &length, source, count, level);
  *room = length;
  return result;
}
int fin_zlib_uncompress(void *target, uint64_t *room, const void *source, uint64_t count) {
  unsigned long length = *room;
  int result = table.uncompress(target, &length, source, count);
  *room = length;
  return result;
}
