// Asks statements of a ClickHouse HTTP port with the driver that Grafana's data source is built on.
//
// Standard input: JSON {"address", "password", "statements": [...]}. Standard output: JSON, for each
// statement {"columns": [...], "rows": n} or {"code": n, "error": "..."}.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

type asked struct {
	Address    string   `json:"address"`
	Password   string   `json:"password"`
	Statements []string `json:"statements"`
}

type answered struct {
	Columns []string `json:"columns,omitempty"`
	Rows    int      `json:"rows"`
	First   []string `json:"first,omitempty"`
	Code    int32    `json:"code,omitempty"`
	Error   string   `json:"error,omitempty"`
}

func main() {
	var in asked
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		panic(err)
	}
	connection, err := clickhouse.Open(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{in.Address},
		Auth:        clickhouse.Auth{Database: "hopline", Username: "grafana", Password: in.Password},
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionGZIP},
		DialTimeout: 20 * time.Second,
		ReadTimeout: 60 * time.Second,
		Settings:    clickhouse.Settings{"max_execution_time": 60},
	})
	if err != nil {
		panic(err)
	}
	out := []answered{}
	for _, statement := range in.Statements {
		out = append(out, ask(connection, statement))
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}

func ask(connection clickhouse.Conn, statement string) answered {
	rows, err := connection.Query(context.Background(), statement)
	if err != nil {
		return failed(err)
	}
	defer rows.Close()
	answer := answered{Columns: rows.Columns()}
	for rows.Next() {
		values := []any{}
		for _, kind := range rows.ColumnTypes() {
			values = append(values, reflect.New(kind.ScanType()).Interface())
		}
		if err := rows.Scan(values...); err != nil {
			return failed(err)
		}
		if answer.Rows == 0 {
			for _, value := range values {
				answer.First = append(answer.First, fmt.Sprint(reflect.ValueOf(value).Elem().Interface()))
			}
		}
		answer.Rows++
	}
	if err := rows.Err(); err != nil {
		return failed(err)
	}
	return answer
}

func failed(err error) answered {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return answered{Code: exception.Code, Error: exception.Message}
	}
	return answered{Error: err.Error()}
}
