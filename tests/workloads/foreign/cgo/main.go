// Cgo sorts, joins and updates rows in SQLite, which is C code. SQLite also calls Go functions.
package main

import (
	"database/sql"
	"fmt"
	"math/rand"
	"strings"

	"github.com/mattn/go-sqlite3"

	"goflame.example/foreign/common"
)

func score(name string, amount int64) int64 {
	sum := amount
	for _, r := range name {
		sum = sum*31 + int64(r)
	}
	return sum
}

func byLength(a, b string) int {
	if d := len(a) - len(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

func main() {
	sql.Register("sqlite3_with_go", &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		if err := c.RegisterCollation("bylength", byLength); err != nil {
			return err
		}
		return c.RegisterFunc("score", score, true)
	}})
	var databases [common.Workers]*sql.DB
	for worker := range databases {
		db, err := sql.Open("sqlite3_with_go", fmt.Sprintf("file:db%d?mode=memory&cache=shared", worker))
		common.Check(err)
		db.SetMaxOpenConns(1)
		_, err = db.Exec("create table item (id integer primary key, name text, amount integer)")
		common.Check(err)
		databases[worker] = db
	}
	common.Run(func(worker int) { work(databases[worker]) })
}

func work(db *sql.DB) {
	insert(db)
	sorted(db)
	collated(db)
	scored(db)
	_, err := db.Exec("delete from item")
	common.Check(err)
}

func insert(db *sql.DB) {
	transaction, err := db.Begin()
	common.Check(err)
	statement, err := transaction.Prepare("insert into item (name, amount) values (?, ?)")
	common.Check(err)
	random := rand.New(rand.NewSource(1))
	for range 4000 {
		_, err = statement.Exec(fmt.Sprintf("name-%x", random.Intn(1<<30)), random.Intn(1000))
		common.Check(err)
	}
	common.Check(statement.Close())
	common.Check(transaction.Commit())
}

func sorted(db *sql.DB) {
	const query = "select a.name, b.amount from item a join item b on b.id = a.amount + 1 order by a.name, b.amount"
	rows, err := db.Query(query)
	common.Check(err)
	defer rows.Close()
	for rows.Next() {
		var name string
		var amount int64
		common.Check(rows.Scan(&name, &amount))
	}
	common.Check(rows.Err())
}

func collated(db *sql.DB) {
	var name string
	common.Check(db.QueryRow("select name from item order by name collate bylength desc limit 1").Scan(&name))
}

func scored(db *sql.DB) {
	var sum int64
	common.Check(db.QueryRow("select sum(score(name, amount) % 1000) from item").Scan(&sum))
}
