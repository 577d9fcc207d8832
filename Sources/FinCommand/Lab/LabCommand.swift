import ArgumentParser
import FinLab
import FinTerminal

/// `fin lab`: tests each claim about closing sockets in an experiment on real sockets.
struct Lab: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "lab",
    abstract: "Try on real sockets what each way of closing does.")

  @Argument(help: ArgumentHelp("The experiments to run; by default, all.", valueName: "id"))
  var ids: [String] = []

  @Flag(name: .customLong("async"), help: "Run Fin's half of each experiment in tasks on a reactor.")
  var inTasks = false

  @Flag(help: "List the experiments and their claims, and run nothing.")
  var list = false

  @OptionGroup var output: OutputOptions

  @Flag(help: "Print only the table at the end.")
  var brief = false

  @Option(help: ArgumentHelp("The number of experiments that run at a time (1 to 32).", valueName: "count"))
  var jobs = 6

  @Option(
    name: .customLong("time-limit"),
    help: ArgumentHelp("The time limit of one experiment.", valueName: "seconds"))
  var timeLimit = 20.0

  func validate() throws {
    guard (1...32).contains(jobs) else { throw ValidationError("--jobs is \(jobs); it can be 1 to 32.") }
    guard timeLimit > 0 && timeLimit <= 3600 else {
      throw ValidationError("--time-limit is \(timeLimit); it can be more than 0 and up to 3600 seconds.")
    }
    for id in ids where Catalogue.experiment(id) == nil {
      let nearest = Catalogue.nearest(to: id).joined(separator: ", ")
      throw ValidationError("There is no experiment '\(id)'. Nearest: \(nearest). All of them: fin lab --list")
    }
  }

  func run() throws {
    let chosen = ids.isEmpty ? Catalogue.all : Catalogue.all.filter { ids.contains($0.id) }
    let world: World = inTasks ? .tasks : .threads
    let terminal = output.terminal
    if list {
      if output.json {
        emit(try JSONReport.list(chosen))
      } else {
        for experiment in chosen { emit(TextReport.listing(of: experiment, in: world, on: terminal)) }
      }
      return
    }

    let clock = ContinuousClock()
    let begun = clock.now
    let text = TextReport(terminal: terminal)
    var progress = ProgressLine()
    var done = 0
    progress.replace("0 of \(Phrase.noun(chosen.count, "experiment"))")
    let findings = Runner(jobs: jobs, timeLimit: .seconds(timeLimit), world: world).run(chosen) { finding in
      done += 1
      progress.clear()
      if !output.json && !brief { emit(text.story(of: finding)) }
      progress.replace("\(done) of \(Phrase.noun(chosen.count, "experiment"))")
    }
    progress.clear()
    let took = (clock.now - begun).inSeconds
    if output.json {
      emit(try JSONReport.text(of: findings, seconds: took))
    } else {
      emit(text.table(of: findings, seconds: took))
    }
    if findings.contains(where: { $0.verdict.isFailure }) { throw ExitStatus.problem.exit }
  }

  private func emit(_ text: String) { Output.write(text + "\n") }
}

/// The command that `fin lab` starts for each experiment: runs it in this process, and reports it as lines of JSON.
///
/// Each experiment has a process of its own, so that its descriptor numbers, limits, signals and network namespaces are
/// not those of another experiment, and so that a hang or a crash can be reported.
struct LabExperiment: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "lab-experiment", shouldDisplay: false)

  @Argument var id: String
  @Flag(name: .customLong("async")) var inTasks = false

  func run() throws {
    guard let experiment = Catalogue.experiment(id) else { throw ValidationError("There is no experiment '\(id)'.") }
    ExperimentRun(of: experiment, in: inTasks ? .tasks : .threads).run()
  }
}
