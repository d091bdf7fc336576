-- A film rental on SQLite: <table>_id keys, types of other databases, a table without rowid, a strict one.
CREATE TABLE language (
  language_id INTEGER PRIMARY KEY AUTOINCREMENT,
  name CHAR(20) NOT NULL,
  last_update TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);
CREATE TABLE category (
  category_id INTEGER PRIMARY KEY AUTOINCREMENT,
  name VARCHAR(25) NOT NULL,
  last_update TIMESTAMP NOT NULL DEFAULT (datetime('now'))
);
CREATE TABLE actor (
  actor_id INTEGER PRIMARY KEY,
  first_name VARCHAR(45) NOT NULL,
  last_name VARCHAR(45) NOT NULL,
  last_update TEXT
);
CREATE INDEX idx_actor_last_name ON actor (last_name COLLATE NOCASE);
CREATE TABLE film (
  film_id INTEGER PRIMARY KEY,
  title VARCHAR(255) NOT NULL,
  description BLOB SUB_TYPE TEXT DEFAULT NULL,
  release_year VARCHAR(4) DEFAULT NULL,
  language_id SMALLINT NOT NULL,
  original_language_id SMALLINT DEFAULT NULL,
  rental_duration SMALLINT DEFAULT 3 NOT NULL,
  rental_rate DECIMAL(4,2) DEFAULT 4.99 NOT NULL,
  length SMALLINT DEFAULT NULL,
  rating VARCHAR(10) DEFAULT 'G',
  special_features VARCHAR(100) DEFAULT NULL,
  last_update TIMESTAMP NOT NULL,
  sequel_of INTEGER REFERENCES film,
  CONSTRAINT CHECK_special_features CHECK (special_features is null or special_features like '%Trailers%'),
  CONSTRAINT CHECK_special_rating CHECK (rating in ('G','PG','PG-13','R','NC-17')),
  CONSTRAINT fk_film_language FOREIGN KEY (language_id) REFERENCES language (language_id),
  CONSTRAINT fk_film_language_original FOREIGN KEY (original_language_id) REFERENCES language (language_id)
);
CREATE INDEX idx_fk_language_id ON film (language_id);
CREATE INDEX idx_fk_original_language_id ON film (original_language_id);
CREATE TABLE film_actor (
  actor_id INT NOT NULL,
  film_id INT NOT NULL,
  last_update TIMESTAMP NOT NULL,
  PRIMARY KEY (actor_id, film_id),
  CONSTRAINT fk_film_actor_actor FOREIGN KEY (actor_id) REFERENCES actor (actor_id)
    ON DELETE NO ACTION ON UPDATE CASCADE,
  CONSTRAINT fk_film_actor_film FOREIGN KEY (film_id) REFERENCES film (film_id) ON DELETE NO ACTION ON UPDATE CASCADE
);
CREATE INDEX idx_fk_film_actor_film ON film_actor (film_id);
CREATE TABLE film_category (
  film_id INT NOT NULL REFERENCES film ON UPDATE CASCADE,
  category_id INT NOT NULL REFERENCES category ON UPDATE CASCADE,
  PRIMARY KEY (film_id, category_id)
) WITHOUT ROWID;
CREATE TABLE country (
  country_id INTEGER PRIMARY KEY,
  country VARCHAR(50) NOT NULL
);
CREATE TABLE city (
  city_id INTEGER PRIMARY KEY,
  city VARCHAR(50) NOT NULL,
  country_id SMALLINT NOT NULL,
  CONSTRAINT fk_city_country FOREIGN KEY (country_id) REFERENCES country ON DELETE NO ACTION ON UPDATE CASCADE
);
CREATE TABLE address (
  address_id INTEGER PRIMARY KEY,
  address VARCHAR(50) NOT NULL,
  address2 VARCHAR(50) DEFAULT NULL,
  city_id INT NOT NULL REFERENCES city ON UPDATE CASCADE,
  position REAL
);
CREATE TABLE staff (
  staff_id INTEGER PRIMARY KEY,
  first_name VARCHAR(45) NOT NULL,
  address_id INT NOT NULL REFERENCES address,
  picture BLOB DEFAULT NULL,
  email VARCHAR(50) UNIQUE,
  store_id INT NOT NULL REFERENCES store,
  active SMALLINT DEFAULT 1 NOT NULL
);
CREATE TABLE shift (
  staff_id INTEGER NOT NULL REFERENCES staff ON DELETE CASCADE,
  starts TEXT NOT NULL,
  ends TEXT,
  hours REAL,
  PRIMARY KEY (staff_id, starts),
  CONSTRAINT shift_forward CHECK (ends IS NULL OR ends > starts)
) STRICT;
CREATE TABLE store (
  store_id INTEGER PRIMARY KEY,
  manager_staff_id INTEGER NOT NULL REFERENCES staff,
  address_id INT NOT NULL REFERENCES address
);
CREATE UNIQUE INDEX idx_unq_manager_staff_id ON store (manager_staff_id);
CREATE TABLE customer (
  customer_id INTEGER PRIMARY KEY,
  store_id INT NOT NULL REFERENCES store,
  first_name VARCHAR(45) NOT NULL,
  email VARCHAR(50) DEFAULT NULL,
  address_id INT NOT NULL REFERENCES address,
  active CHAR(1) DEFAULT 'Y' NOT NULL,
  create_date TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX customer_email_key ON customer (lower(email)) WHERE active = 'Y';
CREATE TABLE inventory (
  inventory_id INTEGER PRIMARY KEY,
  film_id INT NOT NULL REFERENCES film,
  store_id INT NOT NULL REFERENCES store
);
CREATE INDEX idx_store_id_film_id ON inventory (store_id, film_id);
CREATE TABLE rental (
  rental_id INTEGER PRIMARY KEY,
  rental_date TIMESTAMP NOT NULL,
  inventory_id INT NOT NULL REFERENCES inventory,
  customer_id INT NOT NULL REFERENCES customer,
  return_date TIMESTAMP DEFAULT NULL,
  staff_id INT NOT NULL REFERENCES staff
);
CREATE UNIQUE INDEX idx_unq_rental ON rental (rental_date, inventory_id, customer_id);
CREATE TABLE payment (
  payment_id INTEGER PRIMARY KEY,
  customer_id INT NOT NULL REFERENCES customer,
  rental_id INT DEFAULT NULL REFERENCES rental ON DELETE SET NULL,
  amount DECIMAL(5,2) NOT NULL CHECK (amount > 0),
  payment_date TIMESTAMP NOT NULL
);
CREATE INDEX idx_amount ON payment ((amount * 100), payment_date DESC);
CREATE VIEW actor_info AS SELECT actor_id, first_name || ' ' || last_name AS name FROM actor;
