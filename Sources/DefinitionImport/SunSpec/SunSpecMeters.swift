/// Models of meters, scaled integers and floating point (SunSpec models 201 to 204 and 211 to 214).
extension SunSpecModel {
    static let meters: [SunSpecModel] = [
        SunSpecModel(
            [201], "meter",
            """
            A int16 A A_SF; AphA int16 A A_SF; AphB int16 A A_SF; AphC int16 A A_SF; A_SF sunssf; PhV int16 V V_SF;
            PhVphA int16 V V_SF; PhVphB int16 V V_SF; PhVphC int16 V V_SF; PPV int16 V V_SF; PPVphAB int16 V V_SF;
            PPVphBC int16 V V_SF; PPVphCA int16 V V_SF; V_SF sunssf; Hz int16 Hz Hz_SF; Hz_SF sunssf; W int16 W W_SF;
            WphA int16 W W_SF; WphB int16 W W_SF; WphC int16 W W_SF; W_SF sunssf; VA int16 V.A VA_SF; VAphA int16 V.A VA_SF;
            VAphB int16 V.A VA_SF; VAphC int16 V.A VA_SF; VA_SF sunssf; VAR int16 V.A{reactive} VAR_SF;
            VARphA int16 V.A{reactive} VAR_SF; VARphB int16 V.A{reactive} VAR_SF; VARphC int16 V.A{reactive} VAR_SF; VAR_SF sunssf;
            PF int16 % PF_SF; PFphA int16 % PF_SF; PFphB int16 % PF_SF; PFphC int16 % PF_SF; PF_SF sunssf;
            TotWhExp acc32 W.h TotWh_SF; TotWhExpPhA acc32 W.h TotWh_SF; TotWhExpPhB acc32 W.h TotWh_SF;
            TotWhExpPhC acc32 W.h TotWh_SF; TotWhImp acc32 W.h TotWh_SF; TotWhImpPhA acc32 W.h TotWh_SF;
            TotWhImpPhB acc32 W.h TotWh_SF; TotWhImpPhC acc32 W.h TotWh_SF; TotWh_SF sunssf; TotVAhExp acc32 V.A.h TotVAh_SF;
            TotVAhExpPhA acc32 V.A.h TotVAh_SF; TotVAhExpPhB acc32 V.A.h TotVAh_SF; TotVAhExpPhC acc32 V.A.h TotVAh_SF;
            TotVAhImp acc32 V.A.h TotVAh_SF; TotVAhImpPhA acc32 V.A.h TotVAh_SF; TotVAhImpPhB acc32 V.A.h TotVAh_SF;
            TotVAhImpPhC acc32 V.A.h TotVAh_SF; TotVAh_SF sunssf; TotVArhImpQ1 acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhImpQ1PhA acc32 V.A.h{reactive} TotVArh_SF; TotVArhImpQ1PhB acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhImpQ1PhC acc32 V.A.h{reactive} TotVArh_SF; TotVArhImpQ2 acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhImpQ2PhA acc32 V.A.h{reactive} TotVArh_SF; TotVArhImpQ2PhB acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhImpQ2PhC acc32 V.A.h{reactive} TotVArh_SF; TotVArhExpQ3 acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhExpQ3PhA acc32 V.A.h{reactive} TotVArh_SF; TotVArhExpQ3PhB acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhExpQ3PhC acc32 V.A.h{reactive} TotVArh_SF; TotVArhExpQ4 acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhExpQ4PhA acc32 V.A.h{reactive} TotVArh_SF; TotVArhExpQ4PhB acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhExpQ4PhC acc32 V.A.h{reactive} TotVArh_SF; TotVArh_SF sunssf; Evt bitfield32;
            """),
        SunSpecModel(
            [202, 203, 204], "meter",
            """
            A int16 A A_SF; AphA int16 A A_SF; AphB int16 A A_SF; AphC int16 A A_SF; A_SF sunssf; PhV int16 V V_SF;
            PhVphA int16 V V_SF; PhVphB int16 V V_SF; PhVphC int16 V V_SF; PPV int16 V V_SF; PhVphAB int16 V V_SF;
            PhVphBC int16 V V_SF; PhVphCA int16 V V_SF; V_SF sunssf; Hz int16 Hz Hz_SF; Hz_SF sunssf; W int16 W W_SF;
            WphA int16 W W_SF; WphB int16 W W_SF; WphC int16 W W_SF; W_SF sunssf; VA int16 V.A VA_SF; VAphA int16 V.A VA_SF;
            VAphB int16 V.A VA_SF; VAphC int16 V.A VA_SF; VA_SF sunssf; VAR int16 V.A{reactive} VAR_SF;
            VARphA int16 V.A{reactive} VAR_SF; VARphB int16 V.A{reactive} VAR_SF; VARphC int16 V.A{reactive} VAR_SF; VAR_SF sunssf;
            PF int16 % PF_SF; PFphA int16 % PF_SF; PFphB int16 % PF_SF; PFphC int16 % PF_SF; PF_SF sunssf;
            TotWhExp acc32 W.h TotWh_SF; TotWhExpPhA acc32 W.h TotWh_SF; TotWhExpPhB acc32 W.h TotWh_SF;
            TotWhExpPhC acc32 W.h TotWh_SF; TotWhImp acc32 W.h TotWh_SF; TotWhImpPhA acc32 W.h TotWh_SF;
            TotWhImpPhB acc32 W.h TotWh_SF; TotWhImpPhC acc32 W.h TotWh_SF; TotWh_SF sunssf; TotVAhExp acc32 V.A.h TotVAh_SF;
            TotVAhExpPhA acc32 V.A.h TotVAh_SF; TotVAhExpPhB acc32 V.A.h TotVAh_SF; TotVAhExpPhC acc32 V.A.h TotVAh_SF;
            TotVAhImp acc32 V.A.h TotVAh_SF; TotVAhImpPhA acc32 V.A.h TotVAh_SF; TotVAhImpPhB acc32 V.A.h TotVAh_SF;
            TotVAhImpPhC acc32 V.A.h TotVAh_SF; TotVAh_SF sunssf; TotVArhImpQ1 acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhImpQ1PhA acc32 V.A.h{reactive} TotVArh_SF; TotVArhImpQ1PhB acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhImpQ1PhC acc32 V.A.h{reactive} TotVArh_SF; TotVArhImpQ2 acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhImpQ2PhA acc32 V.A.h{reactive} TotVArh_SF; TotVArhImpQ2PhB acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhImpQ2PhC acc32 V.A.h{reactive} TotVArh_SF; TotVArhExpQ3 acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhExpQ3PhA acc32 V.A.h{reactive} TotVArh_SF; TotVArhExpQ3PhB acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhExpQ3PhC acc32 V.A.h{reactive} TotVArh_SF; TotVArhExpQ4 acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhExpQ4PhA acc32 V.A.h{reactive} TotVArh_SF; TotVArhExpQ4PhB acc32 V.A.h{reactive} TotVArh_SF;
            TotVArhExpQ4PhC acc32 V.A.h{reactive} TotVArh_SF; TotVArh_SF sunssf; Evt bitfield32;
            """),
        SunSpecModel(
            [211, 212, 213, 214], "meter",
            """
            A float32 A; AphA float32 A; AphB float32 A; AphC float32 A; PhV float32 V; PhVphA float32 V; PhVphB float32 V;
            PhVphC float32 V; PPV float32 V; PPVphAB float32 V; PPVphBC float32 V; PPVphCA float32 V; Hz float32 Hz; W float32 W;
            WphA float32 W; WphB float32 W; WphC float32 W; VA float32 V.A; VAphA float32 V.A; VAphB float32 V.A;
            VAphC float32 V.A; VAR float32 V.A{reactive}; VARphA float32 V.A{reactive}; VARphB float32 V.A{reactive};
            VARphC float32 V.A{reactive}; PF float32; PFphA float32; PFphB float32; PFphC float32; TotWhExp float32 W.h;
            TotWhExpPhA float32 W.h; TotWhExpPhB float32 W.h; TotWhExpPhC float32 W.h; TotWhImp float32 W.h;
            TotWhImpPhA float32 W.h; TotWhImpPhB float32 W.h; TotWhImpPhC float32 W.h; TotVAhExp float32 V.A.h;
            TotVAhExpPhA float32 V.A.h; TotVAhExpPhB float32 V.A.h; TotVAhExpPhC float32 V.A.h; TotVAhImp float32 V.A.h;
            TotVAhImpPhA float32 V.A.h; TotVAhImpPhB float32 V.A.h; TotVAhImpPhC float32 V.A.h;
            TotVArhImpQ1 float32 V.A.h{reactive}; TotVArhImpQ1phA float32 V.A.h{reactive}; TotVArhImpQ1phB float32 V.A.h{reactive};
            TotVArhImpQ1phC float32 V.A.h{reactive}; TotVArhImpQ2 float32 V.A.h{reactive}; TotVArhImpQ2phA float32 V.A.h{reactive};
            TotVArhImpQ2phB float32 V.A.h{reactive}; TotVArhImpQ2phC float32 V.A.h{reactive}; TotVArhExpQ3 float32 V.A.h{reactive};
            TotVArhExpQ3phA float32 V.A.h{reactive}; TotVArhExpQ3phB float32 V.A.h{reactive};
            TotVArhExpQ3phC float32 V.A.h{reactive}; TotVArhExpQ4 float32 V.A.h{reactive}; TotVArhExpQ4phA float32 V.A.h{reactive};
            TotVArhExpQ4phB float32 V.A.h{reactive}; TotVArhExpQ4phC float32 V.A.h{reactive}; Evt bitfield32;
            """),
    ]
}
