// Asks Hopline as Jaeger's own Go clients do: with the types of jaeger-idl and of the collector.
//
// Standard input: JSON {"grpc", "http", "token", "trace_id", "service", "start_ns", "end_ns"}.
// Standard output: JSON with what each call returned, in the terms of Jaeger's model.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type asked struct {
	Grpc    string `json:"grpc"`
	Http    string `json:"http"`
	Token   string `json:"token"`
	TraceID string `json:"trace_id"`
	Service string `json:"service"`
	StartNs int64  `json:"start_ns"`
	EndNs   int64  `json:"end_ns"`
}

type span struct {
	TraceID    string                 `json:"trace_id"`
	SpanID     string                 `json:"span_id"`
	ParentID   string                 `json:"parent_id"`
	Operation  string                 `json:"operation"`
	Service    string                 `json:"service"`
	Kind       string                 `json:"kind"`
	StartNs    int64                  `json:"start_ns"`
	DurationNs int64                  `json:"duration_ns"`
	Tags       map[string]interface{} `json:"tags"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Jaeger's generated types are gogo's, which gRPC's own codec cannot write.
type codec struct{}

func (codec) Marshal(value any) ([]byte, error) { return proto.Marshal(value.(proto.Message)) }
func (codec) Unmarshal(body []byte, value any) error {
	return proto.Unmarshal(body, value.(proto.Message))
}
func (codec) Name() string { return "proto" }

type chunks interface {
	Recv() (*api_v2.SpansResponseChunk, error)
}

func receive(stream chunks, err error) ([]model.Span, error) {
	if err != nil {
		return nil, err
	}
	var spans []model.Span
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return spans, nil
		}
		if err != nil {
			return nil, err
		}
		spans = append(spans, chunk.Spans...)
	}
}

func show(each model.Span) span {
	tags := map[string]interface{}{}
	for _, tag := range each.Tags {
		tags[tag.Key] = tag.Value()
	}
	kind, _ := each.GetSpanKind()
	parent := ""
	if id := each.ParentSpanID(); id != 0 {
		parent = id.String()
	}
	return span{
		each.TraceID.String(), each.SpanID.String(), parent, each.OperationName,
		each.Process.ServiceName, string(kind), each.StartTime.UnixNano(),
		each.Duration.Nanoseconds(), tags,
	}
}

func get(in asked, path string, accept string) []byte {
	request, err := http.NewRequest("GET", in.Http+path, nil)
	check(err)
	request.Header.Set("Authorization", "Bearer "+in.Token)
	request.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(request)
	check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	check(err)
	return body
}

// As Grafana's Tempo data source reads a trace.
func readTempo(in asked) int {
	body := get(in, "/tempo/api/traces/"+in.TraceID, "application/protobuf")
	traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	check(err)
	return traces.SpanCount()
}

func readOtlp(in asked) int {
	var wrapped struct {
		Result json.RawMessage `json:"result"`
	}
	check(json.Unmarshal(get(in, "/api/v3/traces/"+in.TraceID, "application/json"), &wrapped))
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(wrapped.Result)
	check(err)
	return traces.SpanCount()
}

func main() {
	var in asked
	check(json.NewDecoder(os.Stdin).Decode(&in))
	connection, err := grpc.NewClient(
		in.Grpc,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name), grpc.ForceCodec(codec{})),
	)
	check(err)
	client := api_v2.NewQueryServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out := map[string]interface{}{}

	_, err = client.GetServices(ctx, &api_v2.GetServicesRequest{})
	out["without_token"] = status.Code(err).String()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+in.Token)

	services, err := client.GetServices(ctx, &api_v2.GetServicesRequest{})
	check(err)
	out["services"] = services.Services
	operations, err := client.GetOperations(ctx, &api_v2.GetOperationsRequest{Service: in.Service})
	check(err)
	out["operations"] = operations.Operations
	start, end := time.Unix(0, in.StartNs), time.Unix(0, in.EndNs)
	calls, err := client.GetDependencies(
		ctx, &api_v2.GetDependenciesRequest{StartTime: start, EndTime: end})
	check(err)
	out["dependencies"] = calls.Dependencies

	id, err := model.TraceIDFromString(in.TraceID)
	check(err)
	spans, err := receive(client.GetTrace(ctx, &api_v2.GetTraceRequest{TraceID: id}))
	check(err)
	shown := []span{}
	for _, each := range spans {
		shown = append(shown, show(each))
	}
	out["trace"] = shown
	_, err = receive(client.GetTrace(ctx, &api_v2.GetTraceRequest{TraceID: model.NewTraceID(7, 9)}))
	out["unknown"] = []string{status.Code(err).String(), status.Convert(err).Message()}
	_, err = client.ArchiveTrace(ctx, &api_v2.ArchiveTraceRequest{TraceID: id})
	out["archive"] = status.Code(err).String()

	spans, err = receive(client.FindTraces(ctx, &api_v2.FindTracesRequest{
		Query: &api_v2.TraceQueryParameters{
			ServiceName: in.Service, StartTimeMin: start, StartTimeMax: end, SearchDepth: 20,
			Tags: map[string]string{"error": "true"},
		},
	}))
	check(err)
	found := map[string]int{}
	for _, each := range spans {
		found[each.TraceID.String()]++
	}
	out["found"] = found
	out["otlp_spans"] = readOtlp(in)
	out["tempo_spans"] = readTempo(in)
	check(json.NewEncoder(os.Stdout).Encode(out))
}
