/* What queries can name: hd_lower (ilike), hd_uuid (default keys), the collation hd_decimal
 * (decimals are text and still sort as numbers). Heddle's DDL names none of them, so that other
 * programs can open the file. */
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "casefold.h"
#include "conn.h"

/* ---- hd_lower ---- */

/* One character from `at`; gives its length in bytes. What is not UTF-8 gives 1 and *c = 0. */
static int decode(const unsigned char *at, const unsigned char *end, uint32_t *c) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int len = *at < 0xC2 ? 1 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : *at < 0xF5 ? 4 : 1;
    *c = *at < 0x80 ? *at : 0;
    if (len == 1 || end - at < len) return 1;
    uint32_t value = *at & (0xFFu >> (len + 1));
    for (int i = 1; i < len; i++) {
        if ((at[i] & 0xC0) != 0x80) return 1;
        value = value << 6 | (at[i] & 0x3Fu);
    }
    if (value < least[len]) return 1;
    *c = value;
    return len;
}

/* Folded characters take 1 to 4 bytes like any other. */
static char *encode(char *out, uint32_t c) {
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    *out++ = (char)((0xF0u << (3 - more)) | c >> 6 * more);
    while (more-- > 0) *out++ = (char)(0x80 | (c >> 6 * more & 0x3F));
    return out;
}

static size_t lower(const unsigned char *text, size_t len, char *out) {
    char *to = out;
    for (const unsigned char *at = text, *end = text + len; at < end;) {
        uint32_t c, folded;
        int size = decode(at, end, &c);
        if (c < 0x80) {
            *to++ = (char)(c >= 'A' && c <= 'Z' ? c + 32 : *at);
        } else if ((folded = hd_sqlite_casefold(c)) != c) {
            to = encode(to, folded);
        } else {
            memcpy(to, at, (size_t)size);
            to += size;
        }
        at += size;
    }
    return (size_t)(to - out);
}

static void sql_lower(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    if (sqlite3_value_type(argv[0]) == SQLITE_NULL) return;
    const unsigned char *text = sqlite3_value_text(argv[0]);
    size_t len = (size_t)sqlite3_value_bytes(argv[0]);
    char *out =
        text ? sqlite3_malloc64(len + len / 2 + 1) : NULL; /* two bytes become three at most */
    if (!out) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    sqlite3_result_text64(ctx, out, lower(text, len, out), sqlite3_free, SQLITE_UTF8);
}

/* ---- hd_uuid ---- */

/* From the system, not from sqlite3_randomness, whose state two processes share after a fork. */
static void sql_uuid(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc, (void)argv;
    unsigned char bytes[16];
    char text[HD_UUID_TEXT];
    if (getentropy(bytes, sizeof bytes) != 0) {
        sqlite3_result_error(ctx, "hd_uuid: the system gives no random bytes", -1);
        return;
    }
    bytes[6] = (unsigned char)((bytes[6] & 0x0F) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80);
    hd_uuid_format(bytes, text);
    sqlite3_result_text(ctx, text, sizeof text, SQLITE_TRANSIENT);
}

/* ---- hd_decimal ---- */

static int compare_decimals(void *ud, int alen, const void *a, int blen, const void *b) {
    (void)ud;
    return hd_decimal_compare(a, (size_t)alen, b, (size_t)blen);
}

/* hd_unlimited(whether): for migrations, which take the time that they take. */
static void sql_unlimited(sqlite3_context *ctx, int count, sqlite3_value **values) {
    (void)count;
    hd_sqlite_conn *conn = sqlite3_user_data(ctx);
    conn->unlimited = sqlite3_value_int(values[0]) != 0;
}

int hd_sqlite_register(hd_sqlite_conn *conn) {
    sqlite3 *db = conn->db;
    int code = sqlite3_create_function_v2(db, "hd_lower", 1,
                                          SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                          NULL, sql_lower, NULL, NULL, NULL);
    if (code != SQLITE_OK) return code;
    code = sqlite3_create_function_v2(db, "hd_uuid", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL,
                                      sql_uuid, NULL, NULL, NULL);
    if (code != SQLITE_OK) return code;
    code = sqlite3_create_function_v2(db, "hd_unlimited", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, conn,
                                      sql_unlimited, NULL, NULL, NULL);
    if (code != SQLITE_OK) return code;
    code = sqlite3_create_collation_v2(db, "hd_decimal", SQLITE_UTF8, NULL, compare_decimals, NULL);
    if (code == SQLITE_OK) code = hd_sqlite_register_json(conn);
    if (code == SQLITE_OK) code = hd_sqlite_register_given(conn);
    return code == SQLITE_OK ? hd_sqlite_register_sum(conn) : code;
}
