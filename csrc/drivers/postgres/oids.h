/* Numbers that PostgreSQL's built-in types have in every database. */
#ifndef HD_PG_OIDS_H
#define HD_PG_OIDS_H

enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_CHAR = 18,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_JSON = 114,
    OID_XML = 142,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_UNKNOWN = 705,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_NUMERIC = 1700,
    OID_VOID = 2278,
    OID_UUID = 2950,
    OID_JSONB = 3802,

    OID_BOOL_ARRAY = 1000,
    OID_BYTEA_ARRAY = 1001,
    OID_CHAR_ARRAY = 1002,
    OID_NAME_ARRAY = 1003,
    OID_INT2_ARRAY = 1005,
    OID_INT4_ARRAY = 1007,
    OID_TEXT_ARRAY = 1009,
    OID_BPCHAR_ARRAY = 1014,
    OID_VARCHAR_ARRAY = 1015,
    OID_INT8_ARRAY = 1016,
    OID_FLOAT4_ARRAY = 1021,
    OID_FLOAT8_ARRAY = 1022,
    OID_OID_ARRAY = 1028,
    OID_TIMESTAMP_ARRAY = 1115,
    OID_DATE_ARRAY = 1182,
    OID_TIME_ARRAY = 1183,
    OID_TIMESTAMPTZ_ARRAY = 1185,
    OID_NUMERIC_ARRAY = 1231,
    OID_JSON_ARRAY = 199,
    OID_UUID_ARRAY = 2951,
    OID_JSONB_ARRAY = 3807,

    OID_FIRST_OF_USER = 16384 /* types made in the database: enums, domains' bases, extensions */
};

/* PostgreSQL counts from 2000-01-01, Heddle from 1970-01-01. */
#define PG_EPOCH_DAYS 10957
#define PG_EPOCH_US   (INT64_C(946684800) * 1000000)

#endif
