// Parses and binds queries with Microsoft's own Kusto language service.
//
// In (stdin): {"tables": {name: "column: type, ..."}, "queries": [text, ...]}.
// Out: per query {"diagnostics": [text, ...], "columns": ["name: type", ...]}.
const folder = process.argv[2] + "/node_modules/@kusto/language-service-next/";
require(folder + "bridge.min.js");
require(folder + "Kusto.Language.Bridge.min.js");
const language = globalThis.Kusto.Language;
const symbols = language.Symbols;

const { tables, queries } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const known = Object.entries(tables).map(([name, columns]) =>
  symbols.TableSymbol.From(`(${columns})`).WithName(name));
const database = new symbols.DatabaseSymbol.$ctor1("logs", known, false);
const globals = language.GlobalState.Default.WithDatabase(database);

function list(items) {
  return Array.from({ length: items.Count }, (_, index) => items.getItem(index));
}

const answers = queries.map((query) => {
  const code = language.KustoCode.ParseAndAnalyze(query, globals);
  const result = code.ResultType;
  return {
    diagnostics: list(code.GetDiagnostics()).map((one) => `${one.Severity}: ${one.Message}`),
    columns: result && result.Columns
      ? list(result.Columns).map((column) => `${column.Name}: ${column.Type.Name}`)
      : [],
  };
});
process.stdout.write(JSON.stringify(answers));
