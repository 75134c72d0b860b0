// Prometheus's own parsers, storage, engine and the rules of `promtool check metrics`.
//
// Standard input: JSON {"lint": a page of metrics, "load": series in the notation of Prometheus's
// rule tests, "pages": [{"at_s", "content_type", "body": Base64}] as they were scraped, "at_s":
// seconds, "expressions": [...]}. Standard output: JSON {"problems": [text], "pages": for each
// {"histograms", "exemplars", "error": text}, "answers": for each expression {"series":
// [{labels}], "error": text}}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
)

type page struct {
	AtS         int64  `json:"at_s"`
	ContentType string `json:"content_type"`
	Body        []byte `json:"body"`
}

type scraped struct {
	Histograms int    `json:"histograms"`
	Exemplars  int    `json:"exemplars"`
	Error      string `json:"error"`
}

type asked struct {
	Pages       []page   `json:"pages"`
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
	Pages    []scraped  `json:"pages"`
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
	kept := promqltest.LoadedStorage(noTest{}, in.Load)
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
		Parser: parser.NewParser(parser.Options{}),
	})
	out := result{Problems: lint(in.Lint), Answers: []answered{}}
	for _, each := range in.Pages {
		out.Pages = append(out.Pages, scrape(kept, each))
	}
	for _, expression := range in.Expressions {
		answer := answered{Series: []map[string]string{}}
		query, err := engine.NewInstantQuery(context.Background(), kept, nil, expression, time.Unix(in.AtS, 0))
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

// What the scrape loop does with a page, classic buckets kept beside native ones.
func scrape(into storage.Appendable, from page) (found scraped) {
	app := into.Appender(context.Background())
	options := textparse.ParserOptions{KeepClassicOnClassicAndNativeHistograms: true}
	parser, err := textparse.New(from.Body, from.ContentType, nil, options)
	for err == nil {
		var entry textparse.Entry
		if entry, err = parser.Next(); err != nil {
			break
		}
		var series labels.Labels
		switch entry {
		case textparse.EntrySeries:
			_, _, value := parser.Series()
			parser.Labels(&series)
			_, err = app.Append(0, series, from.AtS*1000, value)
		case textparse.EntryHistogram:
			_, _, whole, float := parser.Histogram()
			parser.Labels(&series)
			found.Histograms++
			if err = whole.Validate(); err == nil {
				_, err = app.AppendHistogram(0, series, from.AtS*1000, whole, float)
			}
			for known := (exemplar.Exemplar{}); parser.Exemplar(&known); known = (exemplar.Exemplar{}) {
				if known.HasTs && known.Labels.Get("trace_id") != "" {
					found.Exemplars++
				}
			}
		}
	}
	if err == io.EOF {
		err = app.Commit()
	}
	if err != nil {
		found.Error = err.Error()
	}
	return found
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
