"""Prometheus and Alertmanager at work, in the network namespace of the caller.

prometheus.py dashboards EXPOSITION FOLDER   serves the file as a machine's metrics, in which "@" is the number of the
                                             scrape, and asks each expression of the dashboards in FOLDER
prometheus.py alert FIN RULES                a leak and its healthy twin under `fin export`, until the alert of the leak
                                             reaches a webhook; the rules' waits are shortened to a second

Prints "ok" and a count, or what was missing.
"""
import glob, http.server, json, os, re, subprocess, sys, tempfile, threading, time, urllib.parse, urllib.request

here = os.path.dirname(os.path.abspath(__file__))
folder = tempfile.mkdtemp()
children = []
limit = time.monotonic() + 240


def start(*words, **options):
    log = open(f"{folder}/log-{len(children)}", "wb")
    child = subprocess.Popen(words, stdout=options.get("stdout", log), stderr=log, cwd=folder)
    children.append(child)
    return child


def end(text, status):
    print(text, flush=True)
    for child in children:
        child.kill()
        child.wait()
    subprocess.run(["rm", "-rf", folder])
    os._exit(status)


def until(what, condition):
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            logs = "".join(open(path, errors="replace").read()[-800:] for path in glob.glob(f"{folder}/log-*"))
            end(f"missing: {what}\n{logs}", 1)
        time.sleep(0.1)


def get(url):
    try:
        return json.load(urllib.request.urlopen(url, timeout=30))
    except (OSError, ValueError):
        return None


def serve(answer):
    """An HTTP server at a free port, whose answers are those of the function, given the method and the body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            text = answer(self.command, self.rfile.read(length)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def prometheus(target, more=""):
    with open(f"{folder}/prometheus.yml", "w") as file:
        file.write(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
            "scrape_configs:\n- job_name: fin\n  static_configs: [{targets: ['127.0.0.1:%d']}]\n%s" % (target, more))
    start("prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
          "--web.listen-address=127.0.0.1:9090", "--log.level=warn")


def ask(expression):
    query = urllib.parse.urlencode({"query": expression})
    answer = get(f"http://127.0.0.1:9090/api/v1/query?{query}")
    return answer["data"]["result"] if answer else None


def dashboards(exposition, boards):
    text, scrapes = open(exposition).read(), [0]

    def answer(*_):
        scrapes[0] += 1
        return text.replace("@", str(scrapes[0]))

    prometheus(serve(answer))
    expressions = {}
    for path in sorted(glob.glob(f"{boards}/*.json")):
        board = json.load(open(path))
        for panel in board["panels"]:
            for target in panel["targets"]:
                expressions[target["expr"]] = f"{board['title']}: {panel['title']}"
        for annotation in board["annotations"]["list"]:
            expressions[annotation["expr"]] = f"{board['title']}: {annotation['name']}"
        for variable in board["templating"]["list"]:
            label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
            if label:
                expressions[f"count by ({label[2]}) ({label[1]})"] = f"{board['title']}: ${variable['name']}"
    for expression, place in expressions.items():
        asked = re.sub(r"\$(instance|program|unit)\b", ".*", expression).replace("$__rate_interval", "1m")
        if "$" in asked:
            end(f"{place}: a variable that is not known: {asked}", 1)
        until(f"{place}: {asked}", lambda: ask(asked))
    end(f"ok {len(expressions)}", 0)


def alert(fin, rules):
    told = []
    webhook = serve(lambda method, body: told.append(json.loads(body)) or "" if body else "")
    with open(f"{folder}/rules.yml", "w") as file:
        file.write(re.sub(r"for: \w+", "for: 1s", open(rules).read()))
    with open(f"{folder}/alertmanager.yml", "w") as file:
        file.write(
            "route: {receiver: hook, group_wait: 1s, group_interval: 1s, group_by: [...]}\n"
            "receivers:\n- name: hook\n  webhook_configs: [{url: 'http://127.0.0.1:%d/'}]\n" % webhook)
    start("prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alerts",
          "--web.listen-address=127.0.0.1:9093", "--cluster.listen-address=")
    exporter = start(fin, "export", "--own-namespace", "--web.listen-address", "127.0.0.1:10995",
                     stdout=subprocess.DEVNULL)
    os.symlink(f"{here}/fd_limit.py", f"{folder}/healthy_twin.py")
    os.symlink(f"{here}/fd_limit.py", f"{folder}/leaking.py")
    os.environ["PYTHONPATH"] = here
    for words in (["leaking.py", "95", "close-wait"], ["healthy_twin.py", "10"]):
        child = subprocess.Popen([sys.executable, "-B", f"{folder}/{words[0]}"] + words[1:], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        children.append(child)
        if not child.stdout.readline().startswith("ready"):
            end(f"{words} is not ready", 1)
    prometheus(10995, (
        "rule_files: [rules.yml]\n"
        "alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:9093']}]}]}\n"))

    def ours():
        alerts = [alert for message in list(told) for alert in message["alerts"]]
        if any("healthy_twin" in json.dumps(alert) for alert in alerts):
            end(f"an alert about the healthy twin: {alerts}", 1)
        return [alert for alert in alerts if alert["labels"]["alertname"] == "FinFinding"
                and alert["labels"].get("program") == "leaking.py" and alert["labels"]["finding"] == "L1"]

    got = until(f"the alert at the webhook; it got {told}", ours)[0]
    text = got["annotations"]
    if "L1 in leaking.py" not in text["summary"] or "fin check --only L1" not in text["description"]:
        end(f"the text is {text}", 1)
    if exporter.poll() is not None:
        end("the exporter has ended", 1)
    end(f"ok {len(told)}", 0)


{"dashboards": dashboards, "alert": alert}[sys.argv[1]](*sys.argv[2:])
