// SQLite and zlib, found when the program runs: neither their headers nor their libraries are needed to build it.
// Each function is a forward to the library's function of the same name. Call fin_sqlite_load or fin_zlib_load first.
#ifndef CSQLITE_H
#define CSQLITE_H

#include <stdint.h>

#pragma clang assume_nonnull begin

/// Finds SQLite: in this program, if it was linked into it, else as libsqlite3.so.0.
/// Returns NULL, or the reason why it cannot be used.
const char *_Nullable fin_sqlite_load(void);
/// Whether SQLite is a part of this program.
int fin_sqlite_is_linked(void);

/// `sqlite3_open_v2`. The database is to be closed even after a failure, if it is not NULL.
int fin_sqlite_open(const char *file, void *_Nullable *_Nonnull database, int flags);
int fin_sqlite_close(void *_Nullable database);
/// `sqlite3_exec` without a callback.
int fin_sqlite_exec(void *database, const char *statements);
int fin_sqlite_prepare(void *database, const char *text, void *_Nullable *_Nonnull statement);
int fin_sqlite_step(void *statement);
int fin_sqlite_reset(void *statement);
int fin_sqlite_finalize(void *_Nullable statement);
int fin_sqlite_bind_int64(void *statement, int place, int64_t value);
int fin_sqlite_bind_null(void *statement, int place);
/// The bytes are copied.
int fin_sqlite_bind_text(void *statement, int place, const char *bytes, int count);
/// The bytes are copied.
int fin_sqlite_bind_blob(void *statement, int place, const void *bytes, int count);
int fin_sqlite_column_type(void *statement, int column);
int64_t fin_sqlite_column_int64(void *statement, int column);
const void *_Nullable fin_sqlite_column_blob(void *statement, int column);
int fin_sqlite_column_bytes(void *statement, int column);
int64_t fin_sqlite_last_insert_rowid(void *database);
int fin_sqlite_extended_errcode(void *database);
const char *_Nullable fin_sqlite_errmsg(void *database);
const char *_Nullable fin_sqlite_errstr(int code);
int fin_sqlite_busy_timeout(void *database, int milliseconds);

/// Finds zlib in the same way: in this program, or as libz.so.1.
const char *_Nullable fin_zlib_load(void);
/// `compressBound`
uint64_t fin_zlib_bound(uint64_t count);
/// `compress2`; 0 for success.
int fin_zlib_compress(void *target, uint64_t *room, const void *source, uint64_t count, int level);
/// `uncompress`; 0 for success.
int fin_zlib_uncompress(void *target, uint64_t *room, const void *source, uint64_t count);

#pragma clang assume_nonnull end
#endif
