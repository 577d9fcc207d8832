import CFin
import Fin
import Glibc

/// One experiment, made in this process and told on standard output, a line of JSON for each trial.
struct Performance {
  private let experiment: Experiment

  private let world: World

  init(of experiment: Experiment, in world: World) {
    self.experiment = experiment
    self.world = experiment.world(world)
  }

  func run() {
    // The laboratory is gone: nobody would read what comes, and nobody would end this process if it hung.
    _ = fin_set_parent_death_signal(SIGKILL)
    do {
      // Python ignores this signal, and the recipes come from there.
      signal(SIGPIPE, SIG_IGN)
      try experiment.naive(Notebook(side: .naive, handOn: Performance.tell))
      // Fin promises that the signal never comes, so that it must be deadly here.
      signal(SIGPIPE, SIG_DFL)
      // Its descriptors are made here, so that they take no number that a trial counts on.
      if world == .tasks { _ = try Reactor.shared }
      let (experiment, world) = (experiment, world)
      try ThisThread.run {
        try await experiment.fin(Notebook(side: .fin, world: world, handOn: Performance.tell), world)
      }
    } catch let skip as Skip {
      Output.write(Message.skip(skip.reason).line)
    } catch {
      Output.write(Message.mishap("\(error)").line)
    }
    Output.write(Message.done.line)
  }

  private static func tell(_ trial: Trial) { Output.write(Message.trial(trial).line) }
}
