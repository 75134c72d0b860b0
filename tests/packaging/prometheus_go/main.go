// Prometheus's own engine and the rules of `promtool check metrics`.
//
// Standard input: JSON {"lint": a page of metrics, "load": series in the notation of Prometheus's
// rule tests, "at_s": seconds, "expressions": [...]}. Standard output: JSON {"problems": [text],
// "answers": for each expression {"series": [{labels}], "error": text}}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

type asked struct {
	Lint        string   `json:"lint"`
	Load        string   `json:"load"`
	AtS         int64    `json:"at_s"`
	Expressions []string `json:"expressions"`
}

type answered struct {
	Series []map[string]string `json:"series"`
	Error  string              `json:"error"`
}

type result struct {
	Problems []string   `json:"problems"`
	Answers  []answered `json:"answers"`
}

// The storage of Prometheus's tests wants one.
type noTest struct{ testing.TB }

func (noTest) Helper()                      {}
func (noTest) Cleanup(func())               {}
func (noTest) TempDir() string              { folder, _ := os.MkdirTemp("", "promql"); return folder }
func (noTest) Fatal(parts ...any)           { panic(fmt.Sprint(parts...)) }
func (noTest) Fatalf(form string, p ...any) { panic(fmt.Sprintf(form, p...)) }
func (noTest) Errorf(form string, p ...any) { panic(fmt.Sprintf(form, p...)) }
func (noTest) Error(parts ...any)           { panic(fmt.Sprint(parts...)) }
func (noTest) FailNow()                     { panic("failed") }
func (noTest) Logf(string, ...any)          {}
func (noTest) Log(...any)                   {}
func (noTest) Name() string                 { return "promql" }

func main() {
	var in asked
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		panic(err)
	}
	storage := promqltest.LoadedStorage(noTest{}, in.Load)
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
		Parser: parser.NewParser(parser.Options{}),
	})
	out := result{Problems: lint(in.Lint), Answers: []answered{}}
	for _, expression := range in.Expressions {
		answer := answered{Series: []map[string]string{}}
		query, err := engine.NewInstantQuery(context.Background(), storage, nil, expression, time.Unix(in.AtS, 0))
		if err == nil {
			result := query.Exec(context.Background())
			err = result.Err
			if vector, ok := result.Value.(promql.Vector); ok {
				for _, sample := range vector {
					labels := sample.Metric.Map()
					labels["value"] = fmt.Sprint(sample.F)
					answer.Series = append(answer.Series, labels)
				}
			}
		}
		if err != nil {
			answer.Error = err.Error()
		}
		out.Answers = append(out.Answers, answer)
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}

func lint(page string) []string {
	found := []string{}
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		found = append(found, err.Error())
	}
	for _, problem := range problems {
		found = append(found, problem.Metric+": "+problem.Text)
	}
	return found
}
